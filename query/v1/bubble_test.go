package v1

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pinstatus/pinstatus/query/internal/querytest"
)

// bubble runs a test in a bubble of testing/synctest, where only waiting takes time. There is
// no broker in it: without notices the service finds a change within noticed.
func bubble(t *testing.T, c querytest.Config, f func(*testing.T, *querytest.Rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c.Pipe = querytest.NewPipe()
		f(t, querytest.Start(t, c, dialect))
	})
}

const noticed = 5 * time.Second

// pending is a request that has not been answered yet.
type pending struct {
	began   time.Time
	answers chan answered
}

type answered struct {
	querytest.Answer
	after time.Duration
}

// ask sends a GET, and returns when it has been answered or waits.
func ask(t *testing.T, r *querytest.Rig, path string, headers ...string) pending {
	t.Helper()
	p := pending{time.Now(), make(chan answered, 1)}
	go func() {
		a, err := r.Try(t.Context(), http.MethodGet, path, headers...)
		if err != nil {
			a.Body = err.Error()
		}
		p.answers <- answered{a, time.Since(p.began)}
	}()
	synctest.Wait()
	return p
}

// expect checks that the answer comes after just so long.
func (p pending) expect(t *testing.T, after time.Duration, code int, body string) http.Header {
	t.Helper()
	a := <-p.answers
	if d := a.Diff(code, body); d != "" {
		t.Error(d)
	}
	if a.after != after {
		t.Errorf("answered after %s; want %s", a.after, after)
	}
	return a.Header
}

// expectSoon checks that the answer comes at least so long after the request, and not
// longer after that than a change takes to be noticed.
func (p pending) expectSoon(t *testing.T, after time.Duration, code int, body string) http.Header {
	t.Helper()
	a := <-p.answers
	if d := a.Diff(code, body); d != "" {
		t.Error(d)
	}
	if a.after < after || a.after > after+noticed {
		t.Errorf("answered after %s; want %s and at most %s more", a.after, after, noticed)
	}
	return a.Header
}

// waits checks that the request still waits.
func (p pending) waits(t *testing.T) {
	t.Helper()
	synctest.Wait()
	if len(p.answers) > 0 {
		t.Fatalf("answered after %s", time.Since(p.began))
	}
}
