package acceptance

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pinstatus/pinstatus/consumer/natstest/child"
)

// manyWaiters is about as many as a process may have connections.
const manyWaiters = 18_000

// Eighteen thousand requests wait on one process, for an account each, a third of them in
// every way that there is: the long poll of the user's PIN, the long poll of an account's
// view, and watching it. An event for each account wakes all of them.
//
// Not parallel: it takes most of the file descriptors that a process may have, and what it
// logs are figures of processes that have the machine to themselves.
func TestManyWaiters(t *testing.T) {
	c := newConfig(t, tenant{ID: "acme", Limits: map[string]int{"requestsPerSecond": 1_000_000, "waiters": manyWaiters}})
	withoutRaceDetector(t)
	d := deploy(t, c)
	all := make([]*waiter, manyWaiters)
	operator := c.operator("acme")
	for i := range all {
		w := &waiter{account: "user-" + strconv.Itoa(i)}
		switch i % 3 {
		case 0:
			w.request = get("/user/pin?timeout=60", "Authorization: Bearer "+c.client("acme", w.account))
			w.right = func(code int, _ string) bool { return code == http.StatusOK }
		case 1:
			w.request = get("/v1/accounts/"+w.account, "Authorization: Bearer "+operator, "Prefer: wait=60")
			w.right = func(code int, body string) bool {
				return code == http.StatusOK && strings.Contains(body, `"accountId":"`+w.account+`"`) && strings.Contains(body, `"status":"SET"`)
			}
		case 2:
			w.request = get("/v1/accounts/"+w.account+"/watch", "Authorization: Bearer "+operator)
			w.right = func(code int, body string) bool {
				return code == http.StatusOK && strings.Contains(body, "event: view\n") && strings.Contains(body, `"status":"SET"`)
			}
		}
		all[i] = w
	}
	before := resident(t, d.query.Cmd.Process.Pid)
	began := time.Now()
	connectAll(t, strings.TrimPrefix(d.query.base, "http://"), all)
	d.query.measures(waitersMetric, manyWaiters)
	opened := time.Since(began)
	each := (resident(t, d.query.Cmd.Process.Pid) - before) / manyWaiters

	// While nothing changes the store is asked for nothing but where partitions are.
	eventually(t, "all have read once", func() error {
		if n := d.query.reads(); n < manyWaiters {
			return fmt.Errorf("%v reads", n)
		}
		return nil
	})
	atRest := d.query.reads()
	quiet := time.Now()
	<-time.After(3 * time.Second) // what is asserted is that nothing happens
	if asked := d.query.reads() - atRest; asked > 16 {
		t.Errorf("%v views were read in %v while nothing changed, want one of each partition at most", asked, time.Since(quiet))
	}

	reads, trips := d.query.reads(), d.query.trips()
	published := d.publishAll(all)
	for _, w := range all {
		if err := <-w.done; err != nil {
			t.Fatalf("%s: %v", strings.SplitN(w.request, "\r\n", 2)[0], err)
		}
	}
	wakes := make([]time.Duration, manyWaiters)
	for i, w := range all {
		wakes[i] = w.answered.Sub(w.published)
	}
	slices.Sort(wakes)
	readsPerWake := (d.query.reads() - reads) / manyWaiters
	t.Logf("%d waiters opened in %v, all answered right", manyWaiters, opened)
	t.Logf("events for all published in %v; from an event's acknowledgement to the answer: p50 %v, p99 %v, longest %v",
		published, wakes[manyWaiters/2], wakes[manyWaiters*99/100], wakes[manyWaiters-1])
	t.Logf("views read per wake: %.2f, in %.3f round trips", readsPerWake, (d.query.trips()-trips)/manyWaiters)
	if readsPerWake > 1.1 {
		t.Errorf("%.2f views were read for each waiter that was woken, want 1", readsPerWake)
	}
	d.query.measures(waitersMetric, manyWaiters/3) // who watches goes on
	for _, w := range all {
		w.close()
	}
	d.query.measures(waitersMetric, 0)

	bare, begun := bareWaiters(t, all), bareWaiters(t, all, "-begin")
	t.Logf("resident memory per waiter: %d bytes; of a bare net/http handler that blocks: %d bytes, ratio %.2f; of one that has begun its streams: %d bytes, ratio %.2f",
		each, bare, float64(each)/float64(bare), begun, float64(each)/float64(begun))
	if each > 2*bare {
		t.Errorf("a waiter takes %d bytes, more than twice as many as one of a bare handler", each)
	}
}

// waiter is one request that waits, on a connection of its own.
type waiter struct {
	account string
	request string
	right   func(code int, body string) bool

	conn      net.Conn
	done      chan error // of the first answer, or the first view
	published time.Time  // when its event was acknowledged
	answered  time.Time
}

func get(path string, headers ...string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: pinstatus\r\n" + strings.Join(append(headers, "\r\n"), "\r\n")
}

// connectAll sends all requests.
func connectAll(t *testing.T, addr string, all []*waiter) {
	t.Helper()
	var g errgroup.Group
	g.SetLimit(64)
	for _, w := range all {
		g.Go(func() error {
			var err error
			if w.conn, err = (&net.Dialer{}).DialContext(t.Context(), "tcp", addr); err != nil {
				return err
			}
			w.done = make(chan error, 1)
			if _, err = io.WriteString(w.conn, w.request); err != nil {
				return err
			}
			go func() { w.done <- w.read() }()
			return nil
		})
	}
	t.Cleanup(func() {
		for _, w := range all {
			w.close()
		}
	})
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

func (w *waiter) close() {
	if w.conn != nil {
		_ = w.conn.Close()
	}
}

// read reads an answer, or the first view of one that goes on.
func (w *waiter) read() error {
	r := bufio.NewReaderSize(w.conn, 1<<10)
	res, err := http.ReadResponse(r, nil) //nolint:bodyclose // closing would read on to the end of a stream; the connection is closed instead
	if err != nil {
		return err
	}
	body, err := readView(res)
	w.answered = time.Now()
	if err != nil {
		return err
	}
	if !w.right(res.StatusCode, body) {
		return fmt.Errorf("answered %d %s", res.StatusCode, body)
	}
	return nil
}

// readView reads an answer's body; of one of events only as far as its first view.
func readView(res *http.Response) (string, error) {
	if !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		body, err := io.ReadAll(res.Body)
		return string(body), err
	}
	var b strings.Builder
	for lines := bufio.NewReader(res.Body); ; {
		line, err := lines.ReadString('\n')
		b.WriteString(line)
		if err != nil || line == "\n" && strings.Contains(b.String(), "event: view") {
			return b.String(), err
		}
	}
}

// publishAll publishes an event for every waiter's account, and notes when each was
// acknowledged.
func (d *deployment) publishAll(all []*waiter) time.Duration {
	d.tb.Helper()
	began := time.Now()
	var pending sync.WaitGroup
	var failed atomic.Pointer[error]
	room := make(chan struct{}, 500) // not acknowledged yet
	for _, w := range all {
		room <- struct{}{}
		future, err := d.broker.js.PublishMsgAsync(pinEvent("set", "acme", w.account, "Parental").structured())
		if err != nil {
			d.tb.Fatal(err)
		}
		pending.Go(func() {
			defer func() { <-room }()
			select {
			case <-future.Ok():
				w.published = time.Now()
			case err := <-future.Err():
				failed.Store(&err)
			}
		})
	}
	pending.Wait()
	if err := failed.Load(); err != nil {
		d.tb.Fatal(*err)
	}
	return time.Since(began)
}

// withoutRaceDetector has the test start a pinstatus without the race detector, of which
// every goroutine and every connection would cost many times as much. It is for tests that
// are not parallel.
func withoutRaceDetector(t *testing.T) {
	t.Helper()
	if !raceDetector {
		return
	}
	before := binary
	binary = goBuild(t, "github.com/pinstatus/pinstatus/cmd/pinstatus")
	t.Cleanup(func() { binary = before })
}

func goBuild(t *testing.T, pkg string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "binary")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", file, pkg).CombinedOutput()
	if err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	return file
}

// bareWaiters is the memory per waiter, in bytes, of a bare server that the same requests
// wait for.
func bareWaiters(t *testing.T, all []*waiter, args ...string) int {
	t.Helper()
	cmd := exec.Command(goBuild(t, "./testdata/bare"), args...)
	p, err := child.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	addr := ""
	eventually(t, "the bare server listens", func() error {
		if addr = strings.TrimSpace(p.Stdout.String()); addr == "" {
			return errors.New("it has not said where")
		}
		return nil
	})
	mine := make([]*waiter, len(all))
	for i, w := range all {
		mine[i] = &waiter{request: w.request, right: w.right}
	}
	before := resident(t, cmd.Process.Pid)
	connectAll(t, addr, mine)
	eventually(t, "all block", func() error {
		a, err := fetch(t.Context(), "http://"+addr+"/blocked")
		if err == nil && a.body != strconv.Itoa(len(all)) {
			err = fmt.Errorf("%s do", a.body)
		}
		return err
	})
	each := (resident(t, cmd.Process.Pid) - before) / len(all)
	for _, w := range mine {
		w.close()
	}
	return each
}

// resident is the memory of a process that is in use, in bytes.
func resident(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		var kib int
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	t.Fatal("no VmRSS in the status of the process")
	return 0
}
