package main

import (
	"slices"
	"strings"
	"testing"
)

func TestFromEnvironment(t *testing.T) {
	environment := map[string]string{
		"PINSTATUS_NATS_URL": "nats://variable", "PINSTATUS_NATS_CREDS": "", "PINSTATUS_PIN": "2B67", "PINSTATUS_ID": "x",
		"PINSTATUS_HELP": "true", "PINSTATUS_JSON": "true", "PINSTATUS_FORCE": "true", "PINSTATUS_MAX_AGE": "0",
		"PINSTATUS_PARTITIONS": "",
	}
	lookup := func(name string) string { return environment[name] }
	tests := []struct {
		command, args string
		want          []string // flags that are given then
	}{
		{"publish", "", []string{"nats-url"}},
		{"publish", "--nats-url nats://line", []string{"nats-url"}},
		{"streams apply", "", []string{"max-age", "nats-url"}},
		{"key new", "", nil},
	}
	for _, tt := range tests {
		cmd, _, err := newRoot(nil, nil, nil).Find(strings.Fields(tt.command))
		if err != nil {
			t.Fatal(err)
		}
		cmd.InitDefaultHelpFlag()
		if err := cmd.ParseFlags(strings.Fields(tt.args)); err != nil {
			t.Fatal(err)
		}
		if err := fromEnvironment(cmd.Flags(), lookup); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, name := range []string{"force", "help", "id", "json", "max-age", "nats-creds", "nats-url", "partitions", "pin"} {
			if cmd.Flags().Changed(name) {
				got = append(got, name)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s %s: given are %q, want %q", tt.command, tt.args, got, tt.want)
		}
		want := "nats://variable"
		if strings.Contains(tt.args, "nats://line") {
			want = "nats://line"
		}
		if f := cmd.Flags().Lookup("nats-url"); f != nil && f.Value.String() != want {
			t.Errorf("%s %s: --nats-url is %s, want %s", tt.command, tt.args, f.Value, want)
		}
	}
}

// A service says which of its settings a variable has made, as it may be left over from
// something else; the line does not tell values.
func TestVariablesAreTold(t *testing.T) {
	t.Setenv("PINSTATUS_NATS_URL", "nats://user:secret@127.0.0.1:1")
	t.Setenv("PINSTATUS_LOG_FORMAT", "json")
	t.Setenv("PINSTATUS_LOG_LEVEL", "info")
	_, _, errOut := command(t, "query", "--log-level", "debug")
	want := `"msg":"set by environment variables","variables":["PINSTATUS_LOG_FORMAT","PINSTATUS_NATS_URL"]`
	if !strings.Contains(errOut, want) || strings.Contains(errOut, "secret") {
		t.Errorf("logged\n%swant %s", errOut, want)
	}
	t.Setenv("PINSTATUS_NATS_URL", "")
	t.Setenv("PINSTATUS_LOG_FORMAT", "")
	if _, _, errOut := command(t, "query", "--log-level", "debug"); strings.Contains(errOut, "set by environment") {
		t.Errorf("logged\n%swant no word of variables: none is used", errOut)
	}
}

func TestBadVariables(t *testing.T) {
	t.Setenv("PINSTATUS_PARTITIONS", "many")
	t.Setenv("PINSTATUS_MAX_AGE", "long")
	code, _, got := command(t, "streams", "check")
	for _, name := range []string{"pinstatus: PINSTATUS_PARTITIONS: ", "pinstatus: PINSTATUS_MAX_AGE: "} {
		if code != 1 || !strings.Contains(got, name) {
			t.Errorf("exit code %d and %q, want 1 and %q", code, got, name)
		}
	}
}

func TestUnknownVariables(t *testing.T) {
	got := unknownVariables([]string{
		"HOME=/", "PINSTATUS_NATS_URL=x", "PINSTATUS_REDIS_ULR=redis://:secret@r", "PINSTATUS_TENANT=acme", "PINSTATUS_EMPTY=", "PINSTATUS_LOG_LEVEL=info",
	})
	want := []string{
		"unknown environment variable PINSTATUS_REDIS_ULR has no effect: did you mean PINSTATUS_REDIS_URL?",
		"unknown environment variable PINSTATUS_TENANT has no effect",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}

	t.Setenv("PINSTATUS_REDIS_ULR", "x")
	if _, _, errOut := command(t, "query"); !strings.Contains(errOut, `"level":"warn"`) || strings.Count(errOut, "PINSTATUS_REDIS_ULR") != 1 {
		t.Errorf("query logged\n%swant one warning of the variable", errOut)
	}
	if _, _, errOut := command(t, "streams", "check", "--nats-url", "nats://127.0.0.1:1"); !strings.HasPrefix(errOut, "pinstatus: "+want[0]+"\n") {
		t.Errorf("streams check said\n%swant the warning first", errOut)
	}
	if _, _, errOut := command(t, "version"); errOut != "" {
		t.Errorf("version said %q, want nothing: it has no variables", errOut)
	}
}
