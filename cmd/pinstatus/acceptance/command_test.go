package acceptance

import (
	"strings"
	"testing"
)

// run runs a command of pinstatus to its end.
func run(tb testing.TB, args ...string) *process {
	tb.Helper()
	p := launch(tb, args...)
	p.wait()
	return p
}

// succeeds runs a command that has to succeed, and returns what it printed.
func succeeds(tb testing.TB, args ...string) string {
	tb.Helper()
	p := run(tb, args...)
	if code, _ := p.exited(); code != 0 {
		tb.Fatalf("pinstatus %s: exit code %d:\n%s", strings.Join(args, " "), code, p.Stderr.Tail(30))
	}
	return p.Stdout.String()
}

// fails runs a command that has to end with exit code 1, and to say all of want on
// standard error.
func fails(tb testing.TB, args []string, want ...string) {
	tb.Helper()
	p := run(tb, args...)
	if code, _ := p.exited(); code != 1 {
		tb.Errorf("pinstatus %s: exit code %d, want 1", strings.Join(args, " "), code)
	}
	for _, w := range want {
		if log := p.Stderr.String(); !strings.Contains(log, w) {
			tb.Errorf("pinstatus %s: nothing of %q in what it says:\n%s", strings.Join(args, " "), w, log)
		}
	}
}
