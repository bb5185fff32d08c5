package acceptance

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pinstatus/pinstatus/consumer/natstest"
	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
)

// Clients that watch an account are cut at random points, in the middle of an event too, and
// come again to either of two query services. None sees a view twice in a row or out of order,
// and all end with the latest, after locks have ended by themselves.
func TestWatchersAreCutAndResume(t *testing.T) {
	t.Parallel()
	const watchers, rounds = 12, 20
	types := []pinType{{Name: "Parental", Mandatory: true, MaxAttempts: 2, LockDurations: []string{"300ms"}}, purchase}
	c := newConfig(t, tenant{ID: "acme", PINTypes: types, Limits: map[string]int{"requestsPerSecond": 1_000_000}})
	f := newFleet(t, c, natstest.Start(t).URL(), redistest.Start(t).URL)
	f.scale(2)
	f.answer(2)
	f.spread(2)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	all := make([]*watcher, watchers)
	var g errgroup.Group
	for i := range all {
		w := &watcher{f: f, random: rand.New(rand.NewPCG(7, uint64(i)))}
		all[i] = w
		g.Go(func() error { return w.watch(ctx) })
	}
	var last uint64
	for range rounds {
		f.broker.publish(attempt("acme", "alice", "Parental", "FAILED"), attempt("acme", "alice", "Parental", "FAILED")) // a lock
		last = f.broker.publish(attempt("acme", "alice", "Purchase", "FAILED"), pinEvent("set", "acme", "alice", "Purchase"))
		// Beyond the lock's end by its own clock, so that it ends while they watch.
		eventually(t, "the lock has ended", func() error {
			got, err := f.account("alice", last)
			if err == nil && strings.Contains(got.body, "LOCKED") {
				err = errors.New("it runs")
			}
			return err
		})
	}
	latest, err := f.account("alice", last)
	if err != nil {
		t.Fatal(err)
	}
	views, locks := 0, 0
	for i, w := range all {
		eventually(t, fmt.Sprintf("watcher %d has the latest view", i), func() error { return w.ends(latest) })
		views += w.views
		locks += w.locks
	}
	cancel()
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	cuts := 0
	for _, w := range all {
		cuts += w.cuts
	}
	t.Logf("%d watchers were cut %d times, and saw %d views, of them %d with a lock", watchers, cuts, views, locks)
	if cuts < watchers || locks == 0 {
		t.Error("nothing was tested")
	}
}

// account asks for an account's view that includes the event of a sequence.
func (f *fleet) account(id string, sequence uint64) (answer, error) {
	got, err := fetch(f.tb.Context(), f.queries[0].base+"/v1/accounts/"+id, "Authorization", "Bearer "+f.config.operator("acme"),
		"Pinstatus-Min-Sequence", strconv.FormatUint(sequence, 10))
	if err == nil {
		err = got.is(http.StatusOK, "")
	}
	return got, err
}

// watcher watches an account and checks what it sees.
type watcher struct {
	f      *fleet
	random *rand.Rand

	mu       sync.Mutex
	id       string // of the last view
	sequence uint64
	locked   bool
	views    int
	locks    int
	cuts     int
}

// watch connects again and again until ctx ends, and reads some bytes each time.
func (w *watcher) watch(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := w.connect(ctx, w.random.IntN(2000)); err != nil {
			return err
		}
		w.mu.Lock()
		w.cuts++
		w.mu.Unlock()
	}
	return nil
}

// connect watches until so many bytes have come, or for a moment.
func (w *watcher) connect(ctx context.Context, size int) error {
	bounded, cancel := context.WithTimeout(ctx, time.Duration(50+w.random.IntN(400))*time.Millisecond)
	defer cancel()
	q := w.f.queries[w.random.IntN(2)]
	req, err := http.NewRequestWithContext(bounded, http.MethodGet, q.base+"/v1/accounts/alice/watch", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+w.f.config.operator("acme"))
	if w.id != "" {
		req.Header.Set("Last-Event-ID", w.id)
	}
	res, err := client.Do(req)
	if err != nil {
		if bounded.Err() != nil {
			err = nil // its time was up
		}
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s", res.Status)
	}
	var id, data string
	for lines := bufio.NewScanner(io.LimitReader(res.Body, int64(size))); lines.Scan(); {
		line := lines.Text()
		if v, ok := strings.CutPrefix(line, "id: "); ok {
			id = v
		}
		if v, ok := strings.CutPrefix(line, "data: "); ok {
			data = v
		}
		if line == "" && data != "" {
			if err := w.see(id, data); err != nil {
				return err
			}
			id, data = "", ""
		}
	}
	return nil // cut: what is not whole does not count
}

// see takes a view.
func (w *watcher) see(id, data string) error {
	var v struct {
		Sequence uint64 `json:"sequence"`
	}
	if err := json.Unmarshal([]byte(data), &v); err != nil {
		return fmt.Errorf("view %q: %w", data, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	locked := strings.Contains(data, "LOCKED")
	switch {
	case id == "" || id == w.id:
		return fmt.Errorf("view %q again: %s", id, data)
	case v.Sequence < w.sequence:
		return fmt.Errorf("a view of sequence %d after one of %d", v.Sequence, w.sequence)
	case v.Sequence == w.sequence && (locked || !w.locked):
		return fmt.Errorf("two views of sequence %d, and not a lock that ended: %s", v.Sequence, data)
	}
	w.id, w.sequence, w.locked = id, v.Sequence, locked
	w.views++
	if locked {
		w.locks++
	}
	return nil
}

// ends reports whether the watcher's last view is this one.
func (w *watcher) ends(latest answer) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if etag := strings.Trim(latest.header.Get("ETag"), `"`); w.id != etag || w.locked {
		return fmt.Errorf("it is at %q, want %q", w.id, etag)
	}
	return nil
}
