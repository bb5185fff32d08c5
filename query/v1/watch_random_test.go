package v1

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
)

// follower is a client that follows an account through whatever happens, and checks what a
// stream promises.
type follower struct {
	t      *testing.T
	r      *querytest.Rig
	w      *watching
	lastID string
	gone   bool
	seen   map[string]bool
	newest uint64
}

// connect opens the stream, anew if it was open.
func (f *follower) connect() {
	f.t.Helper()
	headers := []string{pinsKey}
	if f.lastID != "" {
		headers = append(headers, "Last-Event-ID: "+f.lastID)
	}
	if f.w != nil {
		f.w.leave()
		for b := f.w.next(); b.text != cut; b = f.w.next() {
			f.take(b)
			headers = []string{pinsKey, "Last-Event-ID: " + f.lastID}
		}
	}
	f.w = watch(f.t, f.r, accountPath, headers...)
}

// drain takes what has come.
func (f *follower) drain() {
	synctest.Wait()
	for len(f.w.blocks) > 0 {
		f.take(<-f.w.blocks)
	}
}

func (f *follower) take(b block) {
	f.t.Helper()
	switch {
	case strings.HasPrefix(b.text, ":"):
		return
	case b.text == goneBlock:
		if f.gone || f.lastID == "" {
			f.t.Fatalf("gone, which it was")
		}
		f.gone, f.lastID = true, "gone"
		return
	}
	id, _, _ := strings.Cut(strings.TrimPrefix(b.text, "event: view\nid: "), "\n")
	if f.seen[id] {
		f.t.Fatalf("%s came twice", id)
	}
	number, _, _ := strings.Cut(id, "-")
	sequence, err := strconv.ParseUint(number, 10, 64)
	if err != nil || sequence < f.newest {
		f.t.Fatalf("%s after %d, %v", id, f.newest, err)
	}
	f.gone, f.lastID, f.newest = false, id, sequence
	f.seen[id] = true
}

// Whatever happens: each view comes at most once and in order, also over connections that
// break, and in the end the client knows what there is.
func TestWatchAnything(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, querytest.Config{}, func(t *testing.T, r *querytest.Rig) {
				anything(t, r, rand.New(rand.NewPCG(seed, 0)))
			})
		})
	}
}

func anything(t *testing.T, r *querytest.Rig, rnd *rand.Rand) {
	f := &follower{t: t, r: r, seen: make(map[string]bool)}
	f.connect()
	sequence := uint64(100)
	for range 40 {
		switch n := rnd.IntN(10); {
		case n < 4:
			sequence++
			a := account(sequence, rnd.IntN(2) == 0)
			if rnd.IntN(2) == 0 {
				a.PINs[0].LockEnd = time.Now().Add(time.Duration(rnd.IntN(10_000)) * time.Millisecond).UnixNano()
			}
			r.Views.CommitAccount("acme", "abc123", a)
		case n < 5:
			sequence++
			r.Views.CommitAccount("acme", "abc123", &view.Account{Sequence: sequence})
		case n < 6:
			r.Views.Fail(errors.New("connection refused"))
		case n < 7:
			r.Views.Fail(nil)
			f.connect()
		default:
			r.Views.Fail(nil)
			<-time.After(time.Duration(rnd.IntN(8000)) * time.Millisecond)
		}
		f.drain()
	}
	r.Views.Fail(nil)
	<-time.After(time.Minute)
	f.drain()
	got := r.Get(accountPath, pinsKey)
	want := strings.Trim(got.Header.Get("ETag"), `"`)
	if got.Code == 404 && f.lastID != "" {
		want = "gone"
	}
	if f.lastID != want {
		t.Errorf("the client knows %s; there is %s", f.lastID, want)
	}
}
