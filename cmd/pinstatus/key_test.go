package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pinstatus/pinstatus/cmd/pinstatus/config"
)

var madeKeys = regexp.MustCompile(`^pst_[A-Z2-7]{26}$`)

// taken is the one API key of a configuration file that the snippet stands in.
func taken(tb testing.TB, snippet string) config.APIKey {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "pinstatus.yaml")
	text := "tenants:\n  - id: acme\n    pinTypes: [{name: A}]\n" + snippet + "\n    corsOrigins: []\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	c, err := config.Load(file)
	if err != nil {
		tb.Fatalf("the snippet is refused: %v\n%s", err, text)
	}
	keys := c.Tenants()[0].APIKeys
	if len(keys) != 1 {
		tb.Fatalf("%d API keys; want one:\n%s", len(keys), text)
	}
	return config.APIKey(keys[0])
}

// What is printed is an entry that a configuration file may hold as it is.
func TestKeyNew(t *testing.T) {
	const read = config.ScopeDeliveriesRead
	for name, tt := range map[string]struct {
		args []string
		want config.APIKey // but for its hash
	}{
		"nothing given": {nil, config.APIKey{Name: "new-client", Scopes: []string{read}}},
		"all given": {
			[]string{"--name", "support desk", "--scope", config.ScopePINsRead + "," + read, "--expires", "2999-12-31T23:59:59+01:00"},
			config.APIKey{Name: "support desk", Scopes: []string{config.ScopePINsRead, read}, Expires: time.Date(2999, 12, 31, 22, 59, 59, 0, time.UTC)},
		},
		"a name that YAML would read otherwise": {[]string{"--name", "true"}, config.APIKey{Name: "true", Scopes: []string{read}}},
		"a name that would be a comment":        {[]string{"--name", "# 'x' \"y\" - {z}"}, config.APIKey{Name: "# 'x' \"y\" - {z}", Scopes: []string{read}}},
		"a name in other letters":               {[]string{"--name", "Kundendienst ü 日本"}, config.APIKey{Name: "Kundendienst ü 日本", Scopes: []string{read}}},
		"a long name":                           {[]string{"--name", strings.Repeat("long name ", 12) + "!"}, config.APIKey{Name: strings.Repeat("long name ", 12) + "!", Scopes: []string{read}}},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := command(t, append([]string{"key", "new"}, tt.args...)...)
			if code != 0 || errOut != "" {
				t.Fatalf("exit code %d: %s", code, errOut)
			}
			lines := strings.Split(out, "\n")
			key := strings.TrimPrefix(lines[0], "key:    ")
			if !madeKeys.MatchString(key) {
				t.Errorf("key %q; want one like %s", key, madeKeys)
			}
			if n := strings.Count(out, key); n != 1 {
				t.Errorf("the key is printed %d times; want once", n)
			}
			tt.want.SHA256 = sha256.Sum256([]byte(key))
			if want := "sha256: " + hex.EncodeToString(tt.want.SHA256[:]); lines[1] != want {
				t.Errorf("line %q; want %q", lines[1], want)
			}
			from := slices.Index(lines, "    apiKeys:")
			if from < 0 {
				t.Fatalf("no snippet in\n%s", out)
			}
			got := taken(t, strings.Join(lines[from:], "\n"))
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("%s\n%s", d, out)
			}
		})
	}
}

func TestKeyNewIsNew(t *testing.T) {
	_, one, _ := command(t, "key", "new", "--json")
	_, two, _ := command(t, "key", "new", "--json")
	if one == two {
		t.Errorf("two keys are the same: %s", one)
	}
}

// JSON, without the key, is an entry as well.
func TestKeyNewJSON(t *testing.T) {
	code, out, errOut := command(t, "key", "new", "--json", "--name", "desk", "--expires", "36h")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	var members map[string]any
	if err := json.Unmarshal([]byte(out), &members); err != nil {
		t.Fatal(err)
	}
	key, _ := members["key"].(string)
	delete(members, "key")
	entry, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	got := taken(t, "    apiKeys: ["+string(entry)+"]")
	if left := time.Until(got.Expires); left < 35*time.Hour || left > 36*time.Hour {
		t.Errorf("expires in %s; want 36h", left)
	}
	want := config.APIKey{Name: "desk", SHA256: sha256.Sum256([]byte(key)), Scopes: []string{config.ScopeDeliveriesRead}, Expires: got.Expires}
	if d := cmp.Diff(want, got); d != "" || !madeKeys.MatchString(key) {
		t.Errorf("key %q: %s", key, d)
	}
}

func TestKeyNewRefuses(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--name", "a:b"}, "--name: must not hold a colon: clients send name:key"},
		{[]string{"--name", "a\n"}, "--name: must not hold control characters"},
		{[]string{"--name", strings.Repeat("a", 129)}, "--name: must be at most 128 bytes long, not 129"},
		{[]string{"--scope", "pins:write"}, `--scope: must be deliveries:read or pins:read, not "pins:write"`},
		{[]string{"--scope", "pins:read", "--scope", "pins:read"}, "--scope: the scope stands already at apiKey.scopes[0]"},
		{[]string{"--expires", "soon"}, `--expires: "soon" is neither a time, like 2027-03-31T00:00:00Z, nor how far off it is, like 90d or 12h`},
		{[]string{"--expires", "2027-03-31"}, `--expires: "2027-03-31" is neither a time, like 2027-03-31T00:00:00Z, nor how far off it is, like 90d or 12h`},
		{[]string{"--expires", "-5d"}, `--expires: "-5d" is neither a time, like 2027-03-31T00:00:00Z, nor how far off it is, like 90d or 12h`},
		{[]string{"--expires", "2001-03-31T00:00:00Z"}, "--expires: 2001-03-31T00:00:00Z is not to come"},
		{[]string{"--name", "a:b", "--expires", "2001-03-31T00:00:00Z"}, "--name: must not hold a colon: clients send name:key\npinstatus: --expires: 2001-03-31T00:00:00Z is not to come"},
	} {
		code, out, errOut := command(t, append([]string{"key", "new"}, tt.args...)...)
		if want := "pinstatus: " + tt.want + "\n"; code != 1 || out != "" || errOut != want {
			t.Errorf("%q: exit code %d, output %q, error %q; want 1, none, %q", tt.args, code, out, errOut, want)
		}
	}
}

func TestParseExpiry(t *testing.T) {
	now := time.Date(2026, 11, 21, 10, 0, 0, 123, time.FixedZone("", 3600))
	for s, want := range map[string]string{
		"90d":                  "2027-02-19T09:00:00Z",
		"12h":                  "2026-11-21T21:00:00Z",
		"2027-03-31T00:00:00Z": "2027-03-31T00:00:00Z",
		"0d":                   "",
		"-1h":                  "",
		"1":                    "",
		"999999d":              "",
	} {
		got, err := parseExpiry(s, now)
		if text := got.Format(time.RFC3339); (err == nil) != (want != "") || err == nil && text != want {
			t.Errorf("%s: %s, %v; want %s", s, text, err, want)
		}
	}
}
