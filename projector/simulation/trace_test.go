package simulation

import (
	"fmt"
	"io"
)

// trace is what happened in a run, a line each.
type trace struct {
	buf   []byte
	turns []*turn   // all that were given
	out   io.Writer // where each line is written at once; nil if nowhere
}

func (t *trace) add(step int, who, format string, args ...any) {
	line := len(t.buf)
	t.buf = fmt.Appendf(t.buf, "%5d %-8s ", step, who)
	t.buf = fmt.Appendf(t.buf, format, args...)
	t.buf = append(t.buf, '\n')
	if t.out != nil {
		_, _ = t.out.Write(t.buf[line:])
	}
}

// turn adds a turn that was given.
func (t *trace) turn(step int, given *turn) {
	t.turns = append(t.turns, given)
	if t.out != nil {
		_, _ = fmt.Fprintf(t.out, "%5d %-8s > %s\n", step, given.actor.name, given.what)
	}
}

// difference is where two traces part; empty if they are equal.
func (t *trace) difference(o *trace) string {
	for i := range min(len(t.turns), len(o.turns)) {
		if a, b := t.turns[i], o.turns[i]; a.actor.name != b.actor.name || a.what != b.what {
			return fmt.Sprintf("turn %d is %s: %s, and then %s: %s", i, a.actor.name, a.what, b.actor.name, b.what)
		}
	}
	if len(t.turns) != len(o.turns) {
		return fmt.Sprintf("%d turns, and then %d", len(t.turns), len(o.turns))
	}
	for i := range min(len(t.buf), len(o.buf)) {
		if t.buf[i] != o.buf[i] {
			return fmt.Sprintf("%q, and then %q", around(t.buf, i), around(o.buf, i))
		}
	}
	if len(t.buf) != len(o.buf) {
		return fmt.Sprintf("a trace of %d bytes, and then of %d", len(t.buf), len(o.buf))
	}
	return ""
}

func around(b []byte, i int) []byte { return b[max(0, i-100):min(len(b), i+60)] }
