package querytest

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/internal/fakeviews"
)

// Stream is an event stream that ends where the fake views stand.
type Stream struct{}

// End is position 100 of the fake views' stream.
func (Stream) End(context.Context) (query.StreamEnd, error) {
	return query.StreamEnd{Created: 1, Sequence: 100, At: time.Now()}, nil
}

// WithStream is a config of a service that knows its stream.
func WithStream() Config {
	return Config{Service: func(o *query.Options) { o.Stream = Stream{} }}
}

// Behind has every partition stand behind the stream's end, at a message that is so old.
func (r *Rig) Behind(age time.Duration) {
	p := fakeviews.Position(99)
	p.Witness = time.Now().Add(-age).UnixNano()
	for i := range 4 {
		r.Views.SetPosition(i, p)
	}
}

// knowsStream reports whether the service knows where the stream ends.
func (r *Rig) knowsStream() bool {
	families, err := r.Registry.Gather()
	if err != nil {
		r.TB.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "pinstatus_query_stream_known" {
			return f.GetMetric()[0].GetGauge().GetValue() == 1
		}
	}
	return false
}

// lagOf is what an answer says of how far behind it is; false if it says nothing.
func lagOf(tb testing.TB, a Answer) (lag time.Duration, said bool) {
	tb.Helper()
	values := a.Header.Values(query.LagHeader)
	if len(values) == 0 {
		return 0, false
	}
	seconds, err := strconv.ParseFloat(values[0], 64)
	if err != nil || len(values) > 1 {
		tb.Fatalf("%s: %q: not one number", query.LagHeader, values)
	}
	return time.Duration(seconds * float64(time.Second)), true
}

// CheckLag checks that an answer has a code, and whether it says how far behind it is: as
// far as it has to if the answer comes from a view.
func CheckLag(tb testing.TB, what string, a Answer, code int, fromView bool, least, most time.Duration) {
	tb.Helper()
	lag, said := lagOf(tb, a)
	if a.Code != code || said != fromView {
		tb.Errorf("%s: %d, says its lag: %t; want %d, %t", what, a.Code, said, code, fromView)
	}
	if said && (lag < least || lag > most) {
		tb.Errorf("%s: %s behind; want %s to %s", what, lag, least, most)
	}
}
