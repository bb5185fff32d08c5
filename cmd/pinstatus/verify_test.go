package main

import "testing"

func TestVerifyMistakes(t *testing.T) {
	for _, tt := range []struct{ memory, want string }{
		{"5", "pinstatus: --memory: 5 is less than 1MiB\n"},
		{"1023KiB", "pinstatus: --memory: 1023KiB is less than 1MiB\n"},
		{"1MiB", "pinstatus: --config (or PINSTATUS_CONFIG) is required: views are folded by its policy\n"},
	} {
		if code, out, errOut := execute(t, newVerify(), "--memory", tt.memory); code != exitCannotTell || out != "" || errOut != tt.want {
			t.Errorf("--memory %s: exit code %d, %q and %q; want %d, none and %q", tt.memory, code, out, errOut, exitCannotTell, tt.want)
		}
	}
}
