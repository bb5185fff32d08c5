package main

import (
	"strings"
	"testing"
)

// A misspelt command is told as one, whatever flags stand behind it, and by help as well.
func TestMisspeltCommandsWithFlags(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"erase pin --tenant acme x", `unknown command "pin" for "pinstatus erase"`},
		{"verfy --config pinstatus.yaml", `unknown command "verfy" for "pinstatus": did you mean "verify"?`},
		{"help nope", `unknown command "nope" for "pinstatus"`},
		{"help erase pin", `unknown command "pin" for "pinstatus erase"`},
		{"erase --nope", "unknown flag: --nope"},
	} {
		code, out, errOut := command(t, strings.Fields(tt.args)...)
		if want := "pinstatus: " + tt.want + "\n"; code != 1 || out != "" || errOut != want {
			t.Errorf("%s: exit code %d, output %q, error %q; want 1, none, %q", tt.args, code, out, errOut, want)
		}
	}
	for args, want := range map[string]string{
		"help": "\n  verify ", "help erase code": "pinstatus erase code ", "help verify": "--max-differences",
	} {
		if code, out, errOut := command(t, strings.Fields(args)...); code != 0 || errOut != "" || !strings.Contains(out, want) {
			t.Errorf("%s: exit code %d, output %q, error %q; want 0 and %q", args, code, out, errOut, want)
		}
	}
}
