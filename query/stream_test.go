package query

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pinstatus/pinstatus/projector/view"
	"github.com/pinstatus/pinstatus/query/internal/fakeviews"
)

// stream is an event stream that ends where the test says. Its broker's clock is an hour
// fast.
type stream struct {
	mu  sync.Mutex
	end StreamEnd
	err error
}

const brokerAhead = time.Hour

func (f *stream) End(context.Context) (StreamEnd, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.end
	e.At = time.Now().Add(brokerAhead)
	return e, f.err
}

func (f *stream) set(created int64, sequence uint64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.end, f.err = StreamEnd{Created: created, Sequence: sequence}, err
}

// newStreamService is newService with a stream that ends at 100.
func newStreamService(tb testing.TB) (*Service, *fakeviews.Views, *stream) {
	tb.Helper()
	s, views := newService(tb)
	f := &stream{}
	f.set(1, 100, nil)
	s.opts.Stream = f
	s.askStream(tb.Context())
	return s, views, f
}

func TestHistory(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	type answer struct {
		after    time.Duration // after start, by this process' clock
		created  int64
		sequence uint64
	}
	growing := []answer{{0, 1, 100}, {1 * time.Second, 1, 100}, {2 * time.Second, 1, 150}, {3 * time.Second, 1, 200}}
	at := func(sequence uint64, witness time.Duration) view.Position {
		return view.Position{Sequence: sequence, Stream: 1, Witness: start.Add(brokerAhead + witness).UnixNano()}
	}
	for _, tc := range []struct {
		name    string
		answers []answer
		at      view.Position
		after   time.Duration
		want    string // empty if it is not known
	}{
		{"nobody has asked", nil, at(100, 0), 0, ""},
		{"at the end", growing, at(200, 0), 3 * time.Second, "0"},
		{"beyond the newest end", growing, at(205, 0), 3900 * time.Millisecond, "0"},
		{"just behind the end", growing, at(199, 0), 3 * time.Second, "0"},
		{"behind the end, some time later", growing, at(199, 0), 3456 * time.Millisecond, "0.456"},
		{"behind, between two answers", growing, at(149, 0), 3500 * time.Millisecond, "1.5"},
		{"at an older end", growing, at(150, 0), 3500 * time.Millisecond, "0.5"},
		{"at the oldest end", growing, at(100, 0), 3500 * time.Millisecond, "1.5"},
		{"behind all that is remembered", growing, at(99, -time.Minute), 3 * time.Second, "63"},
		{"and no message there", growing, view.Position{Sequence: 99, Stream: 1}, 3 * time.Second, ""},
		{"and a clock that has gone back", growing, at(99, time.Hour), 3 * time.Second, "3"},
		{"another stream", growing, view.Position{Sequence: 150, Stream: 2}, 3 * time.Second, ""},
		{"no position", growing, view.Position{}, 3 * time.Second, ""},
		{"the newest answer is old", growing, at(200, 0), 11 * time.Second, ""},
		{"the stream is made anew", append(growing[:4:4], answer{4 * time.Second, 2, 7}), at(150, 0), 4 * time.Second, ""},
		{"and its views, too", append(growing[:4:4], answer{4 * time.Second, 2, 7}), view.Position{Stream: 2, Sequence: 7}, 4 * time.Second, "0"},
		{"the newest messages are lost", append(growing[:4:4], answer{5 * time.Second, 1, 120}), at(120, 0), 5 * time.Second, "0"},
		{"and some are missing", append(growing[:4:4], answer{5 * time.Second, 1, 120}), at(119, 0), 5 * time.Second, "3"},
	} {
		h := history{staleAfter: 7 * time.Second}
		for _, a := range tc.answers {
			now := start.Add(a.after)
			h.add(StreamEnd{Created: a.created, Sequence: a.sequence, At: now.Add(brokerAhead)}, now)
		}
		got := ""
		if lag, known := h.lag(tc.at, start.Add(tc.after)); known {
			got = formatSeconds(lag)
		}
		if got != tc.want {
			t.Errorf("%s: %q; want %q", tc.name, got, tc.want)
		}
	}
}

func TestHistoryIsBounded(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	var h history
	for i := range 3 * maxEnds {
		now := start.Add(time.Duration(i) * time.Second)
		h.add(StreamEnd{Created: 1, Sequence: uint64(i), At: now}, now)
	}
	if len(h.ends) != maxEnds || cap(h.ends) > 2*maxEnds {
		t.Errorf("%d ends remembered in %d; want %d", len(h.ends), cap(h.ends), maxEnds)
	}
	if d := cmp.Diff(uint64(2*maxEnds), h.ends[0].sequence); d != "" {
		t.Error(d)
	}
}

func TestFormatSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0", time.Nanosecond: "0.001", 40 * time.Millisecond: "0.04", time.Second: "1",
		1500*time.Millisecond + 1: "1.501", 26*time.Hour + 10*time.Millisecond: "93600.01",
	} {
		if got := formatSeconds(d); got != want {
			t.Errorf("%s: %q; want %q", d, got, want)
		}
	}
}

func TestStreamThatCannotBeAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, f := newStreamService(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go s.streamLoop(ctx)
		at := view.Position{Sequence: 100, Stream: 1}
		<-time.After(time.Minute)
		if got := s.lag(at); got != "0" {
			t.Errorf("lag %q; want 0", got)
		}
		f.set(1, 100, errors.New("no responders"))
		<-time.After(10 * time.Second)
		if got := s.lag(at); got != "" {
			t.Errorf("ten seconds without an answer: lag %q; want none", got)
		}
		f.set(1, 101, nil)
		<-time.After(1100 * time.Millisecond)
		if got := s.lag(at); got == "" || got == "0" {
			t.Errorf("answered again: lag %q; want some", got)
		}
	})
}
