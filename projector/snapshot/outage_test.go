package snapshot_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/patience"
	"github.com/pinstatus/pinstatus/projector/rig"
	"github.com/pinstatus/pinstatus/projector/snapshot"
	"github.com/pinstatus/pinstatus/projector/view"
)

// hooked calls something before it looks at views, or reads events.
type hooked struct {
	snapshot.Store
	snapshot.Events
	load, scan, events func()
}

func (h *hooked) Load(ctx context.Context, g view.Generation, p int, keys []view.Key) (view.Position, [][]byte, error) {
	if len(keys) > 0 {
		h.load()
	}
	return h.Store.Load(ctx, g, p, keys)
}

func (h *hooked) Scan(ctx context.Context, g view.Generation, visit func(int, []view.Key) error) error {
	h.scan()
	return h.Store.Scan(ctx, g, visit)
}

func (h *hooked) Range(
	ctx context.Context, s consumer.Stream, partitions, p int, from, to uint64, handle func(context.Context, *consumer.Batch) error,
) error {
	h.events()
	return h.Events.Range(ctx, s, partitions, p, from, to, handle)
}

// awayAt is a system at rest, and where to save it from. The server of that name is stopped when
// the source is at that place.
func awayAt(t *testing.T, server, place string) (r *rig.Rig, from snapshot.Source, back func()) {
	t.Helper()
	r = rig.New(t, 4)
	live := r.Project("one", rig.Policy(1, 3))
	r.Traffic.Publish(2000)
	r.Settle()
	live.Stop()
	nothing := func() {}
	h := &hooked{Store: r.Store, Events: snapshot.JetStream(r.JS), load: nothing, scan: nothing, events: nothing}
	stop, back := r.Broker.Stop, r.Broker.Restart
	if server == "redis" {
		stop, back = func() { r.Redis.Do("SAVE"); r.Redis.Stop() }, r.Redis.Restart
	}
	*map[string]*func(){"load": &h.load, "scan": &h.scan, "events": &h.events}[place] = sync.OnceFunc(stop)
	return r, snapshot.Source{
		Store: h, Events: h, Log: zap.NewNop(), Wait: time.Minute,
		Policy: func() *fold.Policy { return rig.Policy(1, 3) },
	}, sync.OnceFunc(back)
}

var away = []struct{ server, place string }{
	{"redis", "scan"}, {"redis", "load"}, {"redis", "events"}, {"nats", "scan"}, {"nats", "events"},
}

// A server may be away for a moment: it is started again once saving has noticed, and what is
// saved is what the store has.
func TestSaveWhileServersAreAway(t *testing.T) {
	t.Parallel()
	for _, tt := range away {
		t.Run(tt.server+" "+tt.place, func(t *testing.T) {
			t.Parallel()
			r, from, back := awayAt(t, tt.server, tt.place)
			noticed := false
			from.Waiting = func(why error) {
				noticed = noticed || why != nil
				back()
			}
			info, err := snapshot.Save(t.Context(), from, filepath.Join(t.TempDir(), "file"))
			if err != nil {
				t.Fatal(err)
			}
			if !noticed {
				t.Error("it was not told that a server was away")
			}
			f, err := snapshot.Open(info.Path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			end, views := r.Stream().LastSequence, 0
			for p := range 4 {
				if at := f.Position(p).Sequence; at != end {
					t.Errorf("partition %d is at %d, want %d", p, at, end)
				}
				err := f.Views(t.Context(), p, func(portion []projector.Write) error {
					for _, w := range portion {
						_, values, err := r.Store.Load(t.Context(), r.Serving().Generation, p, []view.Key{w.Key})
						if err != nil || !bytes.Equal(values[0], w.Value) {
							t.Errorf("%v: another view, %v", w.Key, err)
						}
						views++
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			if views < 300 {
				t.Errorf("%d views", views)
			}
		})
	}
}

// One that stays away ends it, as does an interruption, and nothing is left.
func TestSaveWhileServersStayAway(t *testing.T) {
	t.Parallel()
	for _, tt := range away {
		t.Run(tt.server+" "+tt.place, func(t *testing.T) {
			t.Parallel()
			_, from, back := awayAt(t, tt.server, tt.place)
			defer back() // the rig looks at it at its end
			from.Wait = 200 * time.Millisecond
			folder := t.TempDir()
			_, err := snapshot.Save(t.Context(), from, filepath.Join(folder, "file"))
			var gaveUp *patience.GaveUpError
			if !errors.As(err, &gaveUp) {
				t.Errorf("got %v, want that it gave up", err)
			}
			ctx, interrupt := context.WithCancel(t.Context())
			from.Wait, from.Waiting = time.Hour, func(error) { interrupt() }
			if _, err = snapshot.Save(ctx, from, filepath.Join(folder, "file")); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want that it was interrupted", err)
			}
			if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
				t.Errorf("left: %v, %v", left, err)
			}
		})
	}
}
