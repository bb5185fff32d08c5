package query

import (
	"context"
	"sort"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/projector/view"
)

// Stream is the event stream that the views are made of, as far as the service has to know
// it: where it ends.
type Stream interface {
	// End asks the broker where the stream ends now.
	End(ctx context.Context) (StreamEnd, error)
}

// StreamEnd is where the event stream ended at one time.
type StreamEnd struct {
	Created  int64     // creation time of the stream, Unix nanoseconds: its identity
	Sequence uint64    // the last one that was given to a message, which may be deleted since
	At       time.Time // the broker's clock then
}

// streamLoop asks about every second where the stream ends.
func (s *Service) streamLoop(ctx context.Context) {
	for {
		s.askStream(ctx)
		if !sleep(ctx, s.opts.PollInterval) {
			return
		}
	}
}

func (s *Service) askStream(ctx context.Context) {
	bounded, cancel := context.WithTimeout(ctx, s.opts.ReadTimeout)
	defer cancel()
	end, err := s.opts.Stream.End(bounded)
	if err != nil {
		// The metric says that it is not known, and connections have their own words.
		s.log.Debug("ask where the event stream ends", zap.Error(err))
		return
	}
	s.history.add(end, time.Now())
}

// maxEnds is how many ends of the stream are remembered: of a stream that grows all the
// time, those of ten minutes.
const maxEnds = 600

// history is where the stream ended of late. All times of day are by the broker's clock,
// which also stamps the messages: nobody else's clock has a part in how far behind views
// are.
type history struct {
	staleAfter time.Duration // how old the newest answer may be

	mu      sync.RWMutex
	created int64       // identity of the stream
	ends    []streamEnd // sequences and times rise
	at      time.Time   // the broker's clock as it gave the newest answer
	asked   time.Time   // this process' clock then
}

// streamEnd says since when the stream has held a message at or behind a sequence, as far
// as is known.
type streamEnd struct {
	sequence uint64
	since    time.Time
}

// add takes an answer of the broker's that came at now, by this process' clock.
func (h *history) add(e StreamEnd, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.Created != h.created {
		h.created, h.ends = e.Created, h.ends[:0]
	}
	// The end goes back, too, where the broker loses messages.
	since := e.At
	n := len(h.ends)
	for ; n > 0 && h.ends[n-1].sequence >= e.Sequence; n-- {
		since = h.ends[n-1].since
	}
	h.ends = append(h.ends[:n], streamEnd{e.Sequence, since})
	if len(h.ends) > maxEnds {
		h.ends = append(h.ends[:0], h.ends[1:]...)
	}
	h.at, h.asked = e.At, now
}

// known reports whether the broker has answered of late.
func (h *history) known(now time.Time) bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.fresh(now)
}

func (h *history) fresh(now time.Time) bool {
	return len(h.ends) > 0 && now.Sub(h.asked) <= h.staleAfter
}

// end is the newest end; false if it is not known.
func (h *history) end(now time.Time) (mark, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if !h.fresh(now) {
		return mark{}, false
	}
	return mark{stream: h.created, sequence: h.ends[len(h.ends)-1].sequence}, true
}

// stream is the identity of the stream that exists now; 0 if that is not known.
func (h *history) stream() int64 {
	end, _ := h.end(time.Now())
	return end.stream
}

// lag is how long the oldest message behind a position has been in the stream: zero if the
// position has reached the newest end that is known. It is false if that cannot be said.
//
// Behind a position that is older than all that is remembered the oldest message may be as
// old as the one at the position: then lag is that one's age, at most too much.
func (h *history) lag(p view.Position, now time.Time) (time.Duration, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if !h.fresh(now) || p.Stream != h.created {
		return 0, false
	}
	i := sort.Search(len(h.ends), func(i int) bool { return h.ends[i].sequence > p.Sequence })
	if i == len(h.ends) {
		return 0, true
	}
	since := h.ends[i].since
	if i == 0 {
		if p.Witness == 0 {
			return 0, false
		}
		if witness := time.Unix(0, p.Witness); witness.Before(since) {
			since = witness
		}
	}
	return max(0, h.at.Add(now.Sub(h.asked)).Sub(since)), true
}
