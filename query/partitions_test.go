package query

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pinstatus/pinstatus/projector/view"
	"github.com/pinstatus/pinstatus/query/internal/fakeviews"
)

func TestProbes(t *testing.T) {
	for _, n := range []int{1, 3, 16, 1000} {
		for p, r := range probes(n) {
			if got := r.Key.Partition(n); got != p {
				t.Fatalf("%d partitions: the probe of %d is in %d", n, p, got)
			}
		}
	}
}

func TestPartitionMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, views, f := newStreamService(t)
		<-time.After(2 * time.Second)
		f.set(1, 120, nil)
		s.askStream(t.Context())
		<-time.After(1500 * time.Millisecond)
		views.SetPosition(0, view.Position{})
		views.SetPosition(1, view.Position{Sequence: 110, Stream: 1, Codec: view.CodecVersion, Refill: 115})
		views.SetPosition(2, fakeviews.Position(120))
		// And 3 stands at 100.
		var l partitionLook
		look := func() { s.lookAtPartitions(t.Context(), s.serving.Load(), &l) }
		check := func(lag, readable string) {
			t.Helper()
			expect := func(name, help, values string) {
				var b strings.Builder
				b.WriteString("# HELP " + name + " " + help + "\n# TYPE " + name + " gauge\n")
				for v := range strings.FieldsSeq(values) {
					p, value, _ := strings.Cut(v, "=")
					b.WriteString(name + `{partition="` + p + `"} ` + value + "\n")
				}
				c := s.metrics.lag
				if strings.HasSuffix(name, "readable") {
					c = s.metrics.readable
				}
				if err := testutil.CollectAndCompare(c, strings.NewReader(b.String())); err != nil {
					t.Error(err)
				}
			}
			expect("pinstatus_query_partition_lag_seconds", "How long the oldest event that a partition's views lack has been in the stream, as of some seconds ago. No value while it is not known.", lag)
			expect("pinstatus_query_partition_readable", "Whether the views of a partition can be shown, as of some seconds ago.", readable)
		}
		look()
		check("1=1.5 2=0 3=1.5", "0=0 1=0 2=1 3=1")

		views.Fail(errors.New("connection refused"))
		look()
		if n := testutil.CollectAndCount(s.metrics.lag); n != 0 {
			t.Errorf("the store is down: %d lags; want none", n)
		}
		if got := testutil.ToFloat64(s.metrics.readable.WithLabelValues("3")); got != 0 {
			t.Errorf("the store is down: readable %v; want 0", got)
		}

		views.Fail(nil)
		views.SetGeneration(view.Generation{Number: 2, Partitions: 2})
		s.poll(t.Context())
		look()
		check("0=1.5 1=1.5", "0=1 1=1")
	})
}

// The newest events are lost, and so are the views: what is left is shown after a while.
func TestStreamLostItsEnd(t *testing.T) {
	for _, tc := range []struct {
		name    string
		created int64  // of the stream found
		end     uint64 // of the stream found
		at      view.Position
		fails   bool // the stream cannot be asked, every now and then
		lowered bool
		want    error
	}{
		{"lost", 1, 90, fakeviews.Position(90), false, true, nil},
		{"and more events come", 1, 95, fakeviews.Position(95), false, true, nil},
		{"restored from one that is older", 0, 5, view.Position{Sequence: 5, Codec: view.CodecVersion, Witness: 1}, false, true, nil},
		{"not lost, only the store went back", 1, 100, fakeviews.Position(90), false, false, ErrUnavailable},
		{"nobody knows", 1, 90, fakeviews.Position(90), true, false, ErrUnavailable},
		{"not all folded again", 1, 90, fakeviews.Position(89), false, true, ErrUnavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, views, f := newStreamService(t)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go s.partitionLoop(ctx)
				go s.streamLoop(ctx)
				readsAt(t, s, "at first", 100, nil)
				<-time.After(time.Minute)
				f.set(tc.created, min(tc.end, 90), nil)
				views.Fill(first, tc.at)
				for range 20 {
					<-time.After(time.Second)
					if tc.fails {
						f.set(tc.created, tc.end, errors.New("no responders"))
					}
					readsAt(t, s, "soon after", 0, ErrUnavailable)
				}
				f.set(tc.created, tc.end, nil)
				<-time.After(20 * time.Second)
				if tc.fails {
					f.set(tc.created, tc.end, errors.New("no responders"))
					<-time.After(20 * time.Second)
					f.set(tc.created, tc.end, nil)
				}
				<-time.After(20 * time.Second)
				readsAt(t, s, "later", tc.at.Sequence, tc.want)
				if got := testutil.ToFloat64(s.metrics.lowered); got > 0 != tc.lowered {
					t.Errorf("%v floors lowered; want any: %t", got, tc.lowered)
				}
			})
		})
	}
}
