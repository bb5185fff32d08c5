package redistest

import (
	"bytes"
	"os/exec"
	"runtime"
	"sync"
)

// process is one run of a child.
type process struct {
	cmd    *exec.Cmd
	output *output
	done   chan struct{} // closed once it has ended
}

// startProcess starts the child from a goroutine that keeps its thread until the child has
// ended: where the system can end a child with its parent, it goes by the thread that
// started it. So a test binary that is killed leaves no server behind.
func startProcess(path string, args []string) (*process, error) {
	p := &process{output: new(output), done: make(chan struct{})}
	p.cmd = exec.Command(path, args...) //nolint:gosec,noctx // the test says what to run, and kills it itself
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	dieWithParent(p.cmd)
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		_ = p.cmd.Wait() // it is always killed
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // fails only if it has ended already
	<-p.done
}

// output keeps what a child wrote, for the message of a failed start.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
