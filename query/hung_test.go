package query

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
)

// hungViews hang where they are told to, until the read's time is up.
type hungViews struct {
	Views
	hangs atomic.Pointer[func(view.Key) bool]
}

func hang(s *Service) *hungViews {
	h := &hungViews{Views: s.opts.Views}
	s.opts.Views = h
	return h
}

func (h *hungViews) hang(where func(view.Key) bool) { h.hangs.Store(&where) }

func (h *hungViews) Read(ctx context.Context, g view.Generation, reads []view.Read) ([]view.Record, error) {
	if where := h.hangs.Load(); where != nil {
		for i := range reads {
			if (*where)(reads[i].Key) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		}
	}
	return h.Views.Read(ctx, g, reads)
}

func everything(view.Key) bool { return true }

// Requests that have left are not read for, however many they were.
func TestLeftWaitsAreNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newService(t)
		hang(s).hang(everything)
		for i := range 20_000 {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, _, _ = s.Wait(ctx, acme, AccountKey(acme, fmt.Sprint(i)), Condition{For: time.Second}) // left at once
		}
		began := time.Now()
		_, _, err := s.Wait(t.Context(), acme, AccountKey(acme, "x"), Condition{For: time.Second})
		if took := time.Since(began); !errors.Is(err, ErrUnavailable) || took > time.Second+s.opts.ReadTimeout {
			t.Errorf("one more wait of a second: %v after %s; want it unavailable in time", err, took)
		}
		<-time.After(time.Minute)
		if !nothingWaits(s) {
			t.Error("the waits left something behind")
		}
	})
}

// Waits on a shard that hangs end in time, however many they are.
func TestWaitsOnAHungShardEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many, wait = 4000, time.Minute
		s, _ := newService(t)
		h := hang(s)
		var all []<-chan result
		for i := 0; len(all) < many; i++ {
			if id := fmt.Sprint(i); AccountKey(acme, id).Partition(4) == 0 {
				all = append(all, goWait(t.Context(), s, id, wait))
			}
		}
		synctest.Wait()
		h.hang(func(k view.Key) bool { return k.Partition(4) == 0 })
		s.waiters.wakeAll()
		for _, results := range all {
			if r := <-results; !errors.Is(r.Err, ErrUnavailable) || r.After > wait+s.opts.ReadTimeout {
				t.Fatalf("answered: %s; want it unavailable within %s of the end", r, s.opts.ReadTimeout)
			}
		}
		<-time.After(time.Minute) // for reads that are under way
	})
}

// A shard that hangs does not keep lost notices of others from being found.
func TestPositionsAreComparedSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		views.SetGeneration(view.Generation{Number: 2, Partitions: 16})
		s.poll(t.Context())
		h := hang(s)
		for i := range 200 {
			follow(t, s, fmt.Sprint(i))
		}
		h.hang(func(k view.Key) bool { return k.Partition(16) < 8 })
		began := time.Now()
		s.comparePositions(t.Context())
		if took := time.Since(began); took > 2*s.opts.ReadTimeout+noticeDelay {
			t.Errorf("took %s with 8 of 16 partitions hung", took)
		}
	})
}

// Nothing is kept of requests whose sequence did not come, while others wait for the view.
func TestUnmetSequencesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newService(t)
		f := follow(t, s, "a")
		for i := range uint64(100) {
			_, _, err := s.Wait(t.Context(), acme, AccountKey(acme, "a"), Condition{Sequence: 1e12 + i, For: time.Second})
			var behind *BehindError
			if !errors.As(err, &behind) {
				t.Fatal(err)
			}
			if err := f.Reach(t.Context(), 1e12+i, time.Second); !errors.As(err, &behind) {
				t.Fatal(err)
			}
		}
		if got := len(s.waiters.behind); got != 0 {
			t.Errorf("%d partitions are waited for; want none", got)
		}
	})
}

// A view that changes faster than its client reads ends as others do.
func TestBusyFollowersEnd(t *testing.T) {
	for name, end := range map[string]func(*Service){"drain": (*Service).Drain, "reload": (*Service).Reload} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, views := newService(t)
				f := follow(t, s, "a")
				if got, _ := next(f, time.Second); got != "none" {
					t.Fatal(got)
				}
				end(s)
				ended := time.Now()
				for {
					s.notify(views.CommitAccount("acme", "a", isSetView))
					<-time.After(5 * time.Millisecond) // the client takes its time
					if got, _ := next(f, time.Second); got == ErrDraining.Error() || got == ErrReload.Error() {
						break
					}
					if time.Since(ended) > 2*reloadSpread {
						t.Fatal("it goes on")
					}
				}
			})
		})
	}
}

// Who was let in before the tenants changed ends as if it had followed then already, and shows
// others nothing of what it knew.
func TestFollowAfterReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		views.PutAccount("acme", "a", isSetView)
		ctx := withExchange(t.Context(), &exchange{reloads: s.reloads.now()})
		s.Reload()
		anew := *acme
		anew.PINTypes = []PINType{{Name: "Parental"}, {Name: "Purchase"}}
		fresh, err := s.Follow(t.Context(), &anew, AccountKey(acme, "a"))
		if err != nil {
			t.Fatal(err)
		}
		defer fresh.Close()
		late, err := s.Follow(ctx, acme, AccountKey(acme, "a"))
		if err != nil {
			t.Fatal(err)
		}
		defer late.Close()
		for _, f := range []*Follower{late, fresh} {
			snap, err := f.Next(t.Context(), time.Minute)
			if err != nil || len(snap.Account.PINs) != 2 {
				t.Errorf("next is %+v, %v; want both PIN types", snap, err)
			}
		}
		began := time.Now()
		got := ""
		for got != ErrReload.Error() && time.Since(began) <= reloadSpread {
			got, _ = next(late, reloadSpread)
		}
		if got != ErrReload.Error() {
			t.Errorf("next of the late one is %q; want its end within %s", got, reloadSpread)
		}
	})
}

// Views of a stream that is no more say nothing of a sequence of the one that is.
func TestSequenceOfAnotherStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		views.PutAccount("acme", "a", isSetView) // at position 100
		s.history.add(StreamEnd{Created: 2, Sequence: 5, At: time.Now()}, time.Now())
		for _, wait := range []time.Duration{0, time.Second} {
			var behind *BehindError
			_, _, err := s.Wait(t.Context(), acme, AccountKey(acme, "a"), Condition{Sequence: 5, For: wait})
			if !errors.As(err, &behind) {
				t.Errorf("with a wait of %s: %v; want it behind", wait, err)
			}
		}
	})
}

// What the client has seen of a partition that has lost it is waited for, and no longer than it
// asks.
func TestSeenIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views := newService(t)
		views.PutAccount("acme", "a", isSetView)
		began := time.Now()
		snap, met, err := s.Wait(t.Context(), acme, AccountKey(acme, "a"), Condition{Seen: 5_000_000, For: 3 * time.Second})
		if took := time.Since(began); err != nil || met || snap.Account == nil || took != 3*time.Second {
			t.Errorf("got %+v, %t, %v after %s; want what there is when the time is up", snap, met, err, took)
		}
		go func() {
			<-time.After(time.Second)
			s.notify(move(views, "a", 150))
		}()
		began = time.Now()
		_, met, err = s.Wait(t.Context(), acme, AccountKey(acme, "a"), Condition{Seen: 150, For: time.Minute})
		if took := time.Since(began); err != nil || !met || took != time.Second {
			t.Errorf("got %t, %v after %s; want it once it is reached", met, err, took)
		}
	})
}
