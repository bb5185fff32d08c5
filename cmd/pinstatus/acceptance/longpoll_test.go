package acceptance

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

const waitersMetric = "pinstatus_query_waiters"

// Not parallel: the latencies that it logs are those of a process that has the machine to
// itself.
func TestLongPollIsWoken(t *testing.T) {
	const rounds = 200
	d := deploy(t, newConfig(t))
	took := make([]time.Duration, rounds)
	for i := range took {
		account := "user-" + strconv.Itoa(i)
		answers := ask(1, func(context.Context) (answer, error) { return d.query.userPIN(t.Context(), "acme", account, 60) })
		d.query.measures(waitersMetric, 1)
		e := pinEvent("set", "acme", account, "Parental")
		d.broker.publish(e)
		acknowledged := time.Now()
		r := <-answers
		if r.err == nil {
			r.err = r.is(http.StatusOK, "")
		}
		if r.err != nil {
			t.Fatalf("round %d: %v", i, r.err)
		}
		if r.body != "" {
			t.Errorf("round %d: body %q, want none", i, r.body)
		}
		// Generous to a slow machine, and still less than the timers take that find a change
		// without being told.
		if took[i] = r.ended.Sub(acknowledged); took[i] > 5*time.Second {
			t.Fatalf("round %d: the answer came %v after the event's acknowledgement, want milliseconds", i, took[i])
		}
	}
	slices.Sort(took)
	t.Logf("from the event's acknowledgement to the answer, over %d rounds: p50 %v, p99 %v, longest %v",
		rounds, took[rounds/2], took[rounds*99/100], took[rounds-1])
}

// result is an answer, or why there is none.
type result struct {
	answer
	err error
}

// ask asks the same many times at once.
func ask(times int, question func(context.Context) (answer, error)) <-chan result {
	results := make(chan result, times)
	for range times {
		go func() {
			a, err := question(context.Background())
			results <- result{a, err}
		}()
	}
	return results
}

func TestLongPoll(t *testing.T) {
	t.Parallel()
	c := newConfig(t)
	p := serve(t, c, "--data-dir", t.TempDir()).ready()
	b := connect(t, p.nats)
	b.publish(pinEvent("set", "acme", "set", "Parental"), pinEvent("set", "acme", "another type", "Purchase"))
	p.projected(b.publish(pinLocked("acme", "locked", "Parental", time.Now().Add(time.Hour))))

	t.Run("set already", func(t *testing.T) {
		t.Parallel()
		for _, seconds := range []int{0, 60} {
			a, err := p.userPIN(t.Context(), "acme", "set", seconds)
			if err == nil {
				err = a.is(http.StatusOK, "")
			}
			if err != nil {
				t.Errorf("timeout %d: %v", seconds, err)
			}
		}
	})
	for _, account := range []string{"unknown", "another type", "locked"} {
		t.Run("not set: "+account, func(t *testing.T) {
			t.Parallel()
			a, err := p.userPIN(t.Context(), "acme", account, 2)
			if err == nil {
				err = a.is(http.StatusNotFound, "")
			}
			if err != nil {
				t.Fatal(err)
			}
			took := a.ended.Sub(a.began)
			if took < 2*time.Second || took > patience {
				t.Errorf("404 came after %v, want 2s", took)
			}
			if kind := a.header.Get("Content-Type"); kind != "application/vnd.api+json" || !strings.Contains(a.body, `"code":"pin-not-set"`) {
				t.Errorf("answer is of type %s: %s", kind, a.body)
			}
			t.Logf("404 for a timeout of 2s came after %v", took)
		})
	}
	t.Run("versioned path", func(t *testing.T) {
		t.Parallel()
		a, err := fetch(t.Context(), p.base+"/user/2024-1/user/pin?timeout=60", "Authorization", "Bearer "+c.client("acme", "set"))
		if err == nil {
			err = a.is(http.StatusOK, "")
		}
		if err != nil {
			t.Error(err)
		}
	})
	for _, timeout := range []string{"0", "61", "-1", "1.5", "", "x", "1&timeout=2"} {
		t.Run("timeout="+timeout, func(t *testing.T) {
			t.Parallel()
			a, err := fetch(t.Context(), p.base+"/user/pin?timeout="+timeout, "Authorization", "Bearer "+c.client("acme", "set"))
			if err == nil {
				err = a.is(http.StatusBadRequest, "")
			}
			if err != nil || !strings.Contains(a.body, `"source":{"parameter":"timeout"}`) {
				t.Errorf("answered %s: %v", a.body, err)
			}
		})
	}
}

// Two thousand requests wait on one process, and an event of its account wakes each.
func TestManyLongPolls(t *testing.T) {
	t.Parallel()
	const accounts, each = 400, 5
	p := serve(t, newConfig(t), "--data-dir", t.TempDir()).ready()
	b := connect(t, p.nats)
	var g errgroup.Group
	for i := range accounts * each {
		g.Go(func() error {
			account := "user-" + strconv.Itoa(i/each)
			a, err := p.userPIN(t.Context(), "acme", account, 60)
			if err == nil {
				err = a.is(http.StatusOK, "")
			}
			return err
		})
	}
	p.measures(waitersMetric, accounts*each)
	began := time.Now()
	for i := range accounts {
		b.publish(pinEvent("set", "acme", "user-"+strconv.Itoa(i), "Parental"))
	}
	published := time.Now()
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d events published in %v; the last of %d waiting requests was answered %v later",
		accounts, published.Sub(began), accounts*each, time.Since(published))
	p.measures(waitersMetric, 0)
}

// A process that is told to end answers all that wait, cuts none, and ends in time.
func TestLongPollsAreDrained(t *testing.T) {
	t.Parallel()
	const waiting = 500
	p := serve(t, newConfig(t), "--data-dir", t.TempDir()).ready()
	token := p.client("acme", "alice")
	p.config.tenants[0].Limits["waitersPerAccount"] = waiting
	p.config.write(t)
	p.measures(`pinstatus_config_reloads_total{result="applied"}`, 1)
	answers := ask(waiting, func(ctx context.Context) (answer, error) { return p.userPINWith(ctx, token, 60) })
	p.measures(waitersMetric, waiting)
	began := p.signal(syscall.SIGTERM)
	for range waiting {
		r := <-answers
		if r.err == nil {
			r.err = r.is(http.StatusNotFound, "")
		}
		if r.err != nil {
			t.Fatal(r.err)
		}
	}
	t.Logf("%d waiting requests answered %v after SIGTERM", waiting, time.Since(began))
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("ended %v after SIGTERM, want 10s at most", took)
	} else {
		t.Logf("ended %v after SIGTERM", took)
	}
}

// The tenant's bounds on waiting requests, and that their places come free.
func TestLongPollLimits(t *testing.T) {
	t.Parallel()
	c := newConfig(t, tenant{ID: "acme", Limits: map[string]int{"requestsPerSecond": 1000, "waiters": 3, "waitersPerAccount": 2}})
	p := serve(t, c, "--data-dir", t.TempDir()).ready()
	b := connect(t, p.nats)
	wait := func(account string) <-chan result {
		return ask(1, func(ctx context.Context) (answer, error) { return p.userPIN(ctx, "acme", account, 60) })
	}
	refused := func(account, why string) {
		t.Helper()
		a, err := p.userPIN(t.Context(), "acme", account, 60)
		if err == nil {
			err = a.is(http.StatusTooManyRequests, "")
		}
		if err == nil && a.header.Get("Retry-After") == "" {
			err = errors.New("no Retry-After")
		}
		if err != nil {
			t.Errorf("%s: %v", why, err)
		}
	}
	first, second := wait("alice"), wait("alice")
	p.measures(waitersMetric, 2)
	refused("alice", "a third request for an account that may have two")
	third := wait("bob")
	p.measures(waitersMetric, 3)
	refused("carol", "a fourth request for a tenant that may have three")
	b.publish(pinEvent("set", "acme", "alice", "Parental"), pinEvent("set", "acme", "bob", "Parental"), pinEvent("set", "acme", "carol", "Parental"))
	for _, r := range []result{<-first, <-second, <-third} {
		if r.err == nil {
			r.err = r.is(http.StatusOK, "")
		}
		if r.err != nil {
			t.Error(r.err)
		}
	}
	becomes(t, "a place is free again", func() (answer, error) { return p.userPIN(t.Context(), "acme", "carol", 60) }, http.StatusOK, "")
	if m, err := p.metrics(); err != nil || m[waitersMetric] != 0 {
		t.Errorf("%s is %v, want 0: %v", waitersMetric, m[waitersMetric], err)
	}
}
