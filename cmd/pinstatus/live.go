package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// live tells people how far a command has come: on a terminal in one line that changes, and
// otherwise in a line now and then.
type live struct {
	out      io.Writer
	terminal bool

	mu    sync.Mutex
	shown int // length of the line that stands on the terminal
	told  time.Time
}

// liveEvery is the time between two lines that go elsewhere than to a terminal.
const liveEvery = 10 * time.Second

func newLive(out io.Writer) *live {
	f, ok := out.(*os.File)
	return &live{out: out, terminal: ok && isTerminal(f), told: time.Now()}
}

// show shows how far it has come.
func (l *live) show(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := fmt.Sprintf(format, args...)
	if l.terminal {
		fmt.Fprintf(l.out, "\r%s%s", line, strings.Repeat(" ", max(0, l.shown-len(line))))
		l.shown = len(line)
		return
	}
	if time.Since(l.told) >= liveEvery {
		l.told = time.Now()
		fmt.Fprintln(l.out, line)
	}
}

// say prints a line that stays.
func (l *live) say(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clear()
	fmt.Fprintf(l.out, format+"\n", args...)
}

// done takes the changing line away.
func (l *live) done() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clear()
}

func (l *live) clear() {
	if l.shown > 0 {
		fmt.Fprintf(l.out, "\r%s\r", strings.Repeat(" ", l.shown))
		l.shown = 0
	}
}
