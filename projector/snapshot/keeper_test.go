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

func TestKeeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(t)
		source := s.w.source()
		source.Now = nil
		events := &limited{Events: source.Events, lifted: true}
		source.Events = events
		reg := prometheus.NewRegistry()
		k, err := NewKeeper(KeeperOptions{Source: source, Dir: s.Dir, Registerer: reg})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- k.Run(ctx) }()
		pass := func() {
			time.Sleep(DefaultInterval)
			synctest.Wait()
		}
		files := func(want int) {
			t.Helper()
			if names, err := s.autoNames(); err != nil || len(names) != want {
				t.Fatalf("%v, %v; want %d files", names, err, want)
			}
		}
		pass()
		files(0) // nothing can remove anything
		events.lifted = false
		pass()
		files(1)
		saved := testutil.ToFloat64(k.metrics.success)
		if views := testutil.ToFloat64(k.metrics.views); views != 30 || saved == 0 {
			t.Errorf("%v views saved at %v", views, saved)
		}
		pass()
		files(1) // nothing has changed
		if again := testutil.ToFloat64(k.metrics.success); again <= saved {
			t.Error("a snapshot that is up to date counts as out of date")
		}
		for range 3 {
			s.w.publish(0, 1)
			s.w.advanceAll()
			pass()
		}
		files(2)

		events.fault = errors.New("no answer")
		s.w.publish(0, 1)
		s.w.advanceAll()
		pass()
		if n := testutil.ToFloat64(k.metrics.errors); n != 1 {
			t.Errorf("%v errors, want 1", n)
		}
		events.fault = nil
		pass()
		if err := os.Remove(k.path); err != nil {
			t.Fatal(err)
		}
		pass()
		files(2) // the one that somebody removed is made again

		s.w.publish(0, 1)
		s.w.advanceAll()
		cancel() // what has changed since is saved at the end
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
