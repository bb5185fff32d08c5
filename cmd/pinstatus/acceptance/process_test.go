package acceptance

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/consumer/natstest/child"
)

// process is a running pinstatus.
type process struct {
	*api
	admin string // URL
	nats  string // URL of the embedded server; of serve only

	tb   testing.TB
	role string
	*child.Process
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
	cmd := exec.Command(binary, args...)
	cmd.Env = append(environment(), variables...)
	return launchCommand(tb, args[0], cmd)
}

// launchWith is launch of a process that may open so many descriptors.
func launchWith(tb testing.TB, descriptors int, args ...string) *process {
	tb.Helper()
	limited := fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, descriptors)
	cmd := exec.Command("sh", append([]string{"-c", limited, binary}, args...)...)
	cmd.Env = environment()
	return launchCommand(tb, args[0], cmd)
}

func launchCommand(tb testing.TB, role string, cmd *exec.Cmd) *process {
	tb.Helper()
	p := &process{api: &api{}, tb: tb, role: role}
	var err error
	if p.Process, err = child.Start(cmd); err != nil {
		tb.Fatalf("start pinstatus: %v", err)
	}
	tb.Cleanup(func() {
		p.Kill()
		p.races()
		if tb.Failed() {
			tb.Logf("%s (process %d) logged, in the end:\n%s", p.role, p.Cmd.Process.Pid, p.Stderr.Tail(10))
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
		if log := p.Stderr.String(); strings.Contains(log, bad) {
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
		for line := range strings.Lines(p.Stderr.String()) {
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
			p.tb.Fatalf("%s exited with code %d:\n%s", p.role, code, p.Stderr.Tail(30))
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
	if err := p.Cmd.Process.Signal(s); err != nil {
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
	case <-p.Done:
		return p.Cmd.ProcessState.ExitCode(), true
	default:
		return 0, false
	}
}
