package acceptance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a running pinstatus.
type process struct {
	*api
	admin string // URL
	nats  string // URL of the embedded server; of serve only

	tb     testing.TB
	role   string
	cmd    *exec.Cmd
	stdout output
	stderr output
	done   chan struct{} // closed once it has ended
}

// serve runs everything in one process. Args may replace the embedded parts.
func serve(tb testing.TB, c *config, args ...string) *process {
	tb.Helper()
	return start(tb, c, append([]string{
		"serve", "--config", c.file, "--http-addr", "127.0.0.1:0", "--nats-addr", "127.0.0.1:0",
	}, args...)...)
}

// start starts a service and waits until it has set itself up; ready says when it is ready.
func start(tb testing.TB, c *config, args ...string) *process {
	tb.Helper()
	p := launch(tb, append(slices.Clone(args), "--admin-addr", "127.0.0.1:0", "--log-format", "json")...)
	p.config = c
	p.await()
	return p
}

// launch starts pinstatus and does not wait for anything. It is killed with the test.
func launch(tb testing.TB, args ...string) *process {
	tb.Helper()
	return launchIn(tb, nil, args...)
}

// launchIn is launch with variables added to the environment.
func launchIn(tb testing.TB, variables []string, args ...string) *process {
	tb.Helper()
	p := &process{api: &api{}, tb: tb, role: args[0], done: make(chan struct{})}
	p.cmd = exec.Command(binary, args...)
	p.cmd.Env = append(environment(), variables...)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	dieWithParent(p.cmd)
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // see dieWithParent
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // its state says how it ended
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		tb.Fatalf("start pinstatus: %v", err)
	}
	tb.Cleanup(func() {
		p.kill()
		p.races()
		if tb.Failed() {
			tb.Logf("%s (process %d) logged, in the end:\n%s", p.role, p.cmd.Process.Pid, p.stderr.tail(10))
		}
	})
	return p
}

// environment is the test's, without what would configure pinstatus. The race detector would
// have every process sleep for a second before it ends.
func environment() []string {
	own := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PINSTATUS_") })
	return append(own, "GORACE=atexit_sleep_ms=0")
}

// races fails the test if the process met a data race or panicked, however well it answered.
func (p *process) races() {
	p.tb.Helper()
	for _, bad := range []string{"WARNING: DATA RACE", "panic:", "panic while", "fatal error:"} {
		if log := p.stderr.String(); strings.Contains(log, bad) {
			p.tb.Errorf("%s: %q in its log:\n%s", p.role, bad, log[strings.Index(log, bad):])
		}
	}
}

// addresses is the log line with which a service says where it listens.
type addresses struct {
	Message string `json:"msg"`
	HTTP    string `json:"http"`
	Admin   string `json:"admin"`
	NATS    string `json:"nats"`
}

// await waits for that line.
func (p *process) await() {
	p.tb.Helper()
	eventually(p.tb, p.role+" has set itself up", func() error {
		for line := range strings.Lines(p.stderr.String()) {
			var at addresses
			if json.Unmarshal([]byte(line), &at) != nil || !slices.Contains([]string{"serving", "projecting", "answering"}, at.Message) {
				continue
			}
			p.base, p.admin, p.nats = "http://"+at.HTTP, "http://"+at.Admin, at.NATS
			if p.nats != "" && !strings.Contains(p.nats, "://") {
				p.nats = "nats://" + p.nats
			}
			return nil
		}
		if code, ended := p.exited(); ended {
			p.tb.Fatalf("%s exited with code %d:\n%s", p.role, code, p.stderr.tail(30))
		}
		return errors.New("nothing in its log says so")
	})
}

// ready waits until the process says on /readyz that it is.
func (p *process) ready() *process {
	p.tb.Helper()
	eventually(p.tb, p.role+" is ready", func() error {
		a, err := fetch(p.tb.Context(), p.admin+"/readyz")
		if err == nil && a.code != http.StatusOK {
			err = fmt.Errorf("/readyz answers %d:\n%s", a.code, a.body)
		}
		return err
	})
	return p
}

// kill ends the process at once, as kill -9 does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // fails only if it has ended already
	<-p.done
}

// stop ends the process as service managers do, and checks that it takes the 10 s at most,
// and exits with 0.
func (p *process) stop() {
	p.tb.Helper()
	began := p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		p.tb.Errorf("%s: after SIGTERM the exit code is %d, want 0", p.role, code)
	}
	if took := time.Since(began); took > 10*time.Second {
		p.tb.Errorf("%s: took %v to end after SIGTERM, want 10s at most", p.role, took)
	}
}

// signal sends a signal and returns when.
func (p *process) signal(s os.Signal) time.Time {
	p.tb.Helper()
	began := time.Now()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.tb.Fatalf("%s: %v: %v", p.role, s, err)
	}
	return began
}

// wait waits for the process' end and returns its exit code; -1 if a signal ended it.
func (p *process) wait() (code int) {
	p.tb.Helper()
	eventually(p.tb, p.role+" ends", func() error {
		var ended bool
		if code, ended = p.exited(); !ended {
			return errors.New("it runs")
		}
		return nil
	})
	return code
}

func (p *process) exited() (code int, ended bool) {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), true
	default:
		return 0, false
	}
}

// output is what a process wrote.
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

// tail is its last lines.
func (o *output) tail(n int) string {
	lines := strings.SplitAfter(o.String(), "\n")
	return strings.Join(lines[max(0, len(lines)-n-1):], "")
}
