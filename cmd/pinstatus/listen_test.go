package main

import (
	"strings"
	"testing"
)

func TestConnections(t *testing.T) {
	for _, tc := range []struct {
		asked       int
		descriptors uint64
		want        int
		err         string
	}{
		{0, 0, 32768, ""},
		{0, 256, 128, ""},
		{0, 1024, 704, ""},
		{0, 20_000, 18_494, ""},
		{0, 65_536, 32_768, ""},
		{0, 1 << 62, 32_768, ""},
		{0, 1<<64 - 1, 32_768, ""}, // no limit
		{10, 1024, 10, ""},
		{100_000, 1 << 20, 100_000, ""},
		{100_000, 0, 100_000, ""},
		{1024, 1024, 0, "--max-connections: this process may open 1024 descriptors"},
		{-1, 1024, 0, "--max-connections: -1 is negative"},
	} {
		o := listening{maxConnections: tc.asked}
		got, err := o.connections(tc.descriptors)
		if got != tc.want || (err == nil) != (tc.err == "") || err != nil && !strings.HasPrefix(err.Error(), tc.err) {
			t.Errorf("%d asked of %d descriptors: %d, %v; want %d, %s", tc.asked, tc.descriptors, got, err, tc.want, tc.err)
		}
	}
	if n := descriptors(); n == 0 {
		t.Error("how many descriptors there may be is not known")
	}
}

func TestListeningIsChecked(t *testing.T) {
	folder := t.TempDir()
	for args, want := range map[string]string{
		"--tls-cert a.crt":                      "pinstatus: --tls-cert and --tls-key go together\n",
		"--tls-key a.key":                       "pinstatus: --tls-cert and --tls-key go together\n",
		"--tls-cert no.crt --tls-key a.key":     "pinstatus: --tls-cert, --tls-key: stat no.crt: no such file or directory\n",
		"--tls-cert " + folder + " --tls-key x": "pinstatus: --tls-cert, --tls-key: " + folder + " is not a file\n",
		"--max-connections -1":                  "pinstatus: --max-connections: -1 is negative\n",
	} {
		code, _, got := command(t, append([]string{"serve", "--log-format", "console"}, strings.Fields(args)...)...)
		if code != 1 || got != want {
			t.Errorf("%s: exit code %d and %q, want 1 and %q", args, code, got, want)
		}
	}
}
