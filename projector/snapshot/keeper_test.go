package snapshot

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pinstatus/pinstatus/consumer"
)

// limited are events of a stream whose limits may remove some.
type limited struct {
	Events
	lifted bool
	fault  error
}

func (l *limited) Describe(ctx context.Context) (consumer.Stream, error) {
	s, err := l.Events.Describe(ctx)
	s.Limited = !l.lifted
	return s, errors.Join(err, l.fault)
}

func newKeeper(t *testing.T, s *shelf) (*Keeper, *limited) {
	t.Helper()
	source := s.w.source()
	source.Now = nil
	events := &limited{Events: source.Events, lifted: true}
	source.Events = events
	k, err := NewKeeper(KeeperOptions{Source: source, Dir: s.Dir, Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	return k, events
}

func TestKeeperSavesWhatIsNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(t)
		k, events := newKeeper(t, s)
		keep := func(want int) {
			t.Helper()
			<-time.After(DefaultInterval)
			k.keep(t.Context())
			if names, err := s.autoNames(); err != nil || len(names) != want {
				t.Fatalf("%v, %v; want %d files", names, err, want)
			}
		}
		change := func() {
			s.w.publish(0, 1)
			s.w.advanceAll()
		}
		keep(0) // nothing can remove anything
		events.lifted = false
		keep(1)
		saved := testutil.ToFloat64(k.metrics.success)
		if views := testutil.ToFloat64(k.metrics.views); views != 30 || saved == 0 {
			t.Errorf("%v views saved at %v", views, saved)
		}
		keep(1) // nothing has changed
		if again := testutil.ToFloat64(k.metrics.success); again <= saved {
			t.Error("a snapshot that is up to date counts as out of date")
		}
		for range 3 {
			change()
			keep(2)
		}
		events.fault = errors.New("no answer")
		change()
		keep(2)
		if n := testutil.ToFloat64(k.metrics.errors); n != 1 {
			t.Errorf("%v errors, want 1", n)
		}
		events.fault = nil
		keep(2)
		s.w.check(k.path)
		if err := os.Remove(k.path); err != nil {
			t.Fatal(err)
		}
		keep(2) // the one that somebody removed is made again
		s.w.check(k.path)
	})
}

func TestKeeperRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(t)
		k, events := newKeeper(t, s)
		events.lifted = false
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		run := func() { ended <- k.Run(ctx) }
		go run()
		<-time.After(DefaultInterval)
		synctest.Wait()
		if names, err := s.autoNames(); err != nil || len(names) != 1 {
			t.Errorf("after an interval: %v, %v", names, err)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		// What has changed since is saved at the end.
		s.w.publish(0, 1)
		s.w.advanceAll()
		go run()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		s.w.check(k.path)
		f, err := Open(k.path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if got, want := f.Position(0), s.w.parts[0].position; got != want {
			t.Errorf("the last snapshot is at %+v, want %+v", got, want)
		}
	})
}

func TestKeeperOptions(t *testing.T) {
	s := newShelf(t)
	whole := KeeperOptions{Source: s.w.source(), Dir: s.Dir, Registerer: prometheus.NewRegistry()}
	for name, damage := range map[string]func(*KeeperOptions){
		"store":      func(o *KeeperOptions) { o.Store = nil },
		"events":     func(o *KeeperOptions) { o.Events = nil },
		"log":        func(o *KeeperOptions) { o.Log = nil },
		"folder":     func(o *KeeperOptions) { o.Dir = nil },
		"registerer": func(o *KeeperOptions) { o.Registerer = nil },
		"interval":   func(o *KeeperOptions) { o.Interval = -1 },
		"files":      func(o *KeeperOptions) { o.Keep = -1 },
	} {
		o := whole
		damage(&o)
		if _, err := NewKeeper(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := Save(t.Context(), Source{}, filepath.Join(t.TempDir(), "file")); err == nil {
		t.Error("saved from nowhere")
	}
}
