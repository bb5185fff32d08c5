package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/pinstatus/pinstatus/consumer"
)

// terminal is a terminal at which somebody has typed a text.
func terminal(tb testing.TB, typed string) *os.File {
	tb.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { keyboard.Close() })
	var number, unlock uint32
	for request, argument := range map[uintptr]*uint32{syscall.TIOCGPTN: &number, syscall.TIOCSPTLCK: &unlock} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, keyboard.Fd(), request, uintptr(unsafe.Pointer(argument))); errno != 0 {
			tb.Fatal(errno)
		}
	}
	screen, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { screen.Close() })
	if _, err := keyboard.WriteString(typed); err != nil {
		tb.Fatal(err)
	}
	return screen
}

// At a terminal somebody is asked before several ids are erased, which may be a pattern's. Where
// there is none nobody is.
func TestEraseAsks(t *testing.T) {
	b := newLetterBroker(t)
	b.project(t)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	const asked = "erase 2 accounts of tenant acme for good: a, b\n"
	for _, tt := range []struct {
		in                *os.File
		args, asked, fail string
		events            uint64
	}{
		{in: terminal(t, "n\n"), args: "a b", asked: asked, fail: "nothing done"},
		{in: terminal(t, "y\n"), args: "a b", asked: asked, events: 2},
		{in: terminal(t, "n\n"), args: "a b --yes", events: 2},
		{in: terminal(t, "n\n"), args: "a", events: 1},
		{in: null, args: "a b", events: 2},
	} {
		before, err := consumer.Describe(t.Context(), b.js)
		if err != nil {
			t.Fatal(err)
		}
		var errOut bytes.Buffer
		cmd := newErase()
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetIn(tt.in)
		cmd.SetOut(&bytes.Buffer{})
		cmd.SetErr(&errOut)
		cmd.SetArgs(append(strings.Fields("account --tenant acme --nats-url "+b.url), strings.Fields(tt.args)...))
		if err := cmd.ExecuteContext(t.Context()); tt.fail == "" && err != nil || tt.fail != "" && (err == nil || err.Error() != tt.fail) {
			t.Errorf("%s: got %v, want %q", tt.args, err, tt.fail)
		}
		if got := errOut.String(); strings.Contains(got, "for good") != (tt.asked != "") || !strings.Contains(got, tt.asked) {
			t.Errorf("%s: said %q, want %q", tt.args, got, tt.asked)
		}
		after, err := consumer.Describe(t.Context(), b.js)
		if err != nil || after.LastSequence-before.LastSequence != tt.events {
			t.Errorf("%s: %v, %d events, want %d", tt.args, err, after.LastSequence-before.LastSequence, tt.events)
		}
	}
}

func TestSomeOf(t *testing.T) {
	ids := strings.Fields("a b c d e f g h i j k l")
	for n, want := range map[int]string{2: "a, b", 10: "a, b, c, d, e, f, g, h, i, j", 12: "a, b, c, d, e, f, g, h, i, j and 2 more"} {
		if got := someOf(ids[:n]); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
