package simulate

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pinstatus/pinstatus/cmd/pinstatus/publish"
	"github.com/pinstatus/pinstatus/consumer/event"
)

// Summary is what a simulation did, as it is printed in JSON at its end.
type Summary struct {
	Seed         uint64           `json:"seed"`
	Seconds      float64          `json:"seconds"` // from the first event to the last acknowledgement
	Sent         int64            `json:"sent"`
	Acknowledged int64            `json:"acknowledged"`
	Failed       int64            `json:"failed"` // not acknowledged, so perhaps not in the stream
	LastError    string           `json:"lastError,omitempty"`
	LastSequence uint64           `json:"lastSequence"`
	Rate         float64          `json:"rate"` // acknowledged events a second
	AckMillis    Latency          `json:"ackMillis"`
	Types        map[string]int64 `json:"types"` // sent, by event type
	HeldBack     int64            `json:"heldBack"`
	Repeats      int64            `json:"repeats"`
	Retold       int64            `json:"retold"`
	Late         int64            `json:"late"`
	Storm        int64            `json:"storm"`
	Bad          map[string]int64 `json:"bad"` // sent, by the reason of the dead letter to come
}

// Latency is how long acknowledgements took, in milliseconds.
type Latency struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// stats counts while a simulation runs.
type stats struct {
	mu      sync.Mutex
	sum     Summary
	all     histogram
	window  histogram // since the last progress line
	started time.Time
}

func newStats(seed uint64) *stats {
	return &stats{
		started: time.Now(),
		sum:     Summary{Seed: seed, Types: map[string]int64{}, Bad: map[string]int64{}},
	}
}

func (s *stats) sent(t event.Type, f Flags) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sum.Sent++
	s.sum.Types[t.String()]++
	for _, c := range []struct {
		is    bool
		count *int64
	}{
		{f.HeldBack, &s.sum.HeldBack},
		{f.Repeat, &s.sum.Repeats},
		{f.Retold, &s.sum.Retold},
		{f.Late, &s.sum.Late},
		{f.Storm, &s.sum.Storm},
	} {
		if c.is {
			*c.count++
		}
	}
	if f.Bad != "" {
		s.sum.Bad[string(f.Bad)]++
	}
}

func (s *stats) acked(a publish.Ack) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.Err != nil {
		s.sum.Failed++
		s.sum.LastError = a.Err.Error()
		return
	}
	s.sum.Acknowledged++
	s.sum.LastSequence = max(s.sum.LastSequence, a.Sequence)
	s.all.add(a.Took)
	s.window.add(a.Took)
}

// summary is what was counted so far.
func (s *stats) summary() Summary {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := s.sum
	sum.Types, sum.Bad = maps.Clone(sum.Types), maps.Clone(sum.Bad)
	sum.Seconds = time.Since(s.started).Seconds()
	sum.Rate = float64(sum.Acknowledged) / max(sum.Seconds, 1e-9)
	sum.AckMillis = latency(&s.all)
	return sum
}

// recent is the latency since it was last asked for.
func (s *stats) recent() Latency {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := latency(&s.window)
	s.window = histogram{}
	return l
}

func latency(h *histogram) Latency {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return Latency{P50: ms(h.quantile(0.5)), P99: ms(h.quantile(0.99)), Max: ms(h.max)}
}

// print writes the summary for people.
func (s *Summary) print(out io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(s)
	}
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-22s "+format+"\n", append([]any{name}, args...)...)
	}
	row("sent", "%s in %.1fs, seed %d", grouped(s.Sent), s.Seconds, s.Seed)
	row("acknowledged", "%s (%s/s), the last as sequence %d", grouped(s.Acknowledged), grouped(int64(s.Rate)), s.LastSequence)
	if s.Failed > 0 {
		row("failed", "%s: %s", grouped(s.Failed), s.LastError)
	}
	row("ack latency", "p50 %.2fms, p99 %.2fms, max %.2fms", s.AckMillis.P50, s.AckMillis.P99, s.AckMillis.Max)
	row("held back", "%s", grouped(s.HeldBack))
	row("repeated", "%s, and %s under another id", grouped(s.Repeats), grouped(s.Retold))
	row("late", "%s", grouped(s.Late))
	row("in lock storms", "%s", grouped(s.Storm))
	b.WriteString("\n")
	for _, name := range slices.Sorted(maps.Keys(s.Types)) {
		row(strings.TrimSuffix(strings.TrimPrefix(name, "pinstatus."), ".v1"), "%s", grouped(s.Types[name]))
	}
	for _, reason := range slices.Sorted(maps.Keys(s.Bad)) {
		row("bad: "+reason, "%s", grouped(s.Bad[reason]))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// grouped writes a number with a comma for every thousand.
func grouped(n int64) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", grouped(n/1000), n%1000)
}
