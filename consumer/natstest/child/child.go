// Package child runs the processes of tests: servers and the binary under test. None outlives
// the test binary that started it, even one that is killed.
package child

import (
	"bytes"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
)

// Process is one run of a child.
type Process struct {
	Cmd    *exec.Cmd
	Stdout Output
	Stderr Output
	Done   chan struct{} // closed once it has ended
}

// Start starts a child that has not been started, and takes what it writes. It does so from a
// goroutine that keeps its thread until the child has ended, as the system ends a child with
// the thread that started it.
func Start(cmd *exec.Cmd) (*Process, error) {
	p := &Process{Cmd: cmd, Done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.Stdout, &p.Stderr
	dieWithParent(cmd)
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		_ = cmd.Wait() // its state says how it ended
		close(p.Done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// Kill ends the process at once, as kill -9 does, and waits for its end. It may be called
// again.
func (p *Process) Kill() {
	_ = p.Cmd.Process.Kill() // fails only if it has ended already
	<-p.Done
}

// Pause freezes the process: its connections stay open and nothing answers, until Resume.
func (p *Process) Pause() error { return p.Cmd.Process.Signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (p *Process) Resume() error { return p.Cmd.Process.Signal(syscall.SIGCONT) }

// Output is what a process wrote.
type Output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// Tail is its last lines.
func (o *Output) Tail(n int) string {
	lines := strings.SplitAfter(o.String(), "\n")
	return strings.Join(lines[max(0, len(lines)-n-1):], "")
}
