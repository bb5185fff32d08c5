package v1

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/wire"
)

const (
	// takeWithin is how long a client may take for one piece of a stream: one that does not
	// read is cut off, and can resume.
	takeWithin = 10 * time.Second

	// catchUpWithin is how long a stream that is resumed waits for its replica to come as
	// far as its client. It goes on from what there is then.
	catchUpWithin = 5 * time.Second
)

// stream is one watch. It keeps the tag of the view that was sent last, and neither views
// nor anything to be sent: a client that is slow gets the latest when it is ready.
type stream struct {
	service  *query.Service
	w        http.ResponseWriter
	follower *query.Follower
	id       string
	expires  time.Time // the credential; zero if it does not

	known   bool      // the client has a view, and
	tag     etag      // this is its tag
	written time.Time // when something was sent last
	blind   bool      // the client has been told that the view cannot be shown

	// Of a stream that is resumed on a replica that is behind: what the client has seen,
	// until when it is waited for, and the view to be sent then.
	seen  uint64
	until time.Time
	held  *query.Snapshot
}

// newStream begins where the client says that it is, by the id of the event that it had
// last. An id that no view has says that it has none.
func (d *Dialect) newStream(w http.ResponseWriter, r *http.Request, f *query.Follower, t *target) *stream {
	s := &stream{service: d.service, w: w, follower: f, id: t.id, expires: t.Expires}
	if s.tag, s.known = parseETag(r.Header.Get(wire.HeaderLastEventID)); s.known {
		s.seen, s.until = s.tag.sequence, time.Now().Add(catchUpWithin)
	}
	return s
}

// run sends until the stream ends. An error before anything has been sent is to be answered
// instead of it, and one after that cuts it.
func (s *stream) run(ctx context.Context) error {
	return s.await(ctx, wire.Heartbeat, func(snap *query.Snapshot, err error) error {
		switch {
		case errors.Is(err, query.ErrQuiet):
			return query.ErrUnavailable // from a store that slow
		case err != nil && wellEnded(err) == "":
			return err
		}
		streamHeaders(s.w.Header())
		return s.goOn(ctx, true, snap, err)
	})
}

// goOn sends what there is to say, and goes on with the next change.
func (s *stream) goOn(ctx context.Context, begins bool, snap *query.Snapshot, err error) error {
	end, cut := s.step(begins, snap, err)
	if cut != nil {
		end = cutBy(ctx, cut)
	}
	if end != "" {
		s.service.WatchEnded(ctx, end)
		return cut
	}
	return s.await(ctx, s.patience(time.Now()), func(snap *query.Snapshot, err error) error {
		return s.goOn(ctx, false, snap, err)
	})
}

// await waits for up to d for the view to change.
func (s *stream) await(ctx context.Context, d time.Duration, then func(*query.Snapshot, error) error) error {
	var snap *query.Snapshot
	var err error
	return query.Await(ctx,
		func() { snap, err = s.follower.Next(ctx, d) },
		func() error { return then(snap, err) })
}

// wellEnded is how a stream ends because of err, if it ends well: its client is told.
func wellEnded(err error) query.WatchEnd {
	switch {
	case errors.Is(err, query.ErrDraining):
		return query.WatchDraining
	case errors.Is(err, query.ErrReload):
		return query.WatchReload
	}
	return ""
}

// cutBy is how a stream has ended that err cuts.
func cutBy(ctx context.Context, err error) query.WatchEnd {
	switch {
	case errors.Is(err, query.ErrClientSlow):
		return query.WatchSlow
	case errors.Is(err, query.ErrClientLeft), ctx.Err() != nil:
		return query.WatchLeft
	}
	return query.WatchFault
}

// farewells are what clients are told of the ends of their streams.
var farewells = map[query.WatchEnd]string{
	query.WatchExpired:  "credential expired",
	query.WatchDraining: "draining",
	query.WatchReload:   "reload",
}

// step sends what there is to say after a call of Next, and says how the stream ends if it
// ends with that.
func (s *stream) step(begins bool, snap *query.Snapshot, err error) (end query.WatchEnd, cut error) {
	e := newEncoder()
	if begins {
		e.raw(beginning)
	}
	now := time.Now()
	end = wellEnded(err)
	switch {
	case !s.expires.IsZero() && !now.Before(s.expires):
		end = query.WatchExpired
	case err == nil:
		s.take(e, snap, now)
	case errors.Is(err, query.ErrUnavailable):
		s.held = nil
		if !s.blind {
			s.blind = true
			e.comment("unavailable")
		}
	case !errors.Is(err, query.ErrQuiet) && end == "":
		e.free()
		return "", err
	}
	switch {
	case end != "":
		e.comment(farewells[end])
	case s.held != nil && !now.Before(s.until):
		s.show(e, s.held)
		s.held = nil
	}
	if len(e.buf) == 0 && now.Sub(s.written) >= wire.Heartbeat {
		e.raw(heartbeat)
	}
	if err := s.send(e.buf, end != ""); err != nil {
		return "", err
	}
	e.free()
	return end, nil
}

// take shows a view, or holds it where the client has seen a later one.
func (s *stream) take(e *encoder, snap *query.Snapshot, now time.Time) {
	s.blind = false
	if snap.Position.Sequence < s.seen && now.Before(s.until) {
		s.held = snap
		return
	}
	s.seen, s.held = 0, nil
	s.show(e, snap)
}

// show appends the event of a view, unless it is the one that the client has. That there is
// none is news only for who has one.
func (s *stream) show(e *encoder, snap *query.Snapshot) {
	if !snap.Exists() {
		if s.known {
			s.known = false
			e.raw(goneEvent)
		}
		return
	}
	from := len(e.buf)
	tag := e.viewEvent(s.id, snap)
	if s.known && tag == s.tag {
		e.buf = e.buf[:from]
		return
	}
	s.known, s.tag = true, tag
}

// send sends a piece, if it is not empty.
func (s *stream) send(piece []byte, last bool) error {
	if len(piece) == 0 {
		return nil
	}
	if err := query.SendPiece(s.w, piece, takeWithin); err != nil {
		return err
	}
	s.written = time.Now()
	if last {
		// For what net/http writes at the end of an answer. It fails where there is no
		// connection, as in tests: there is nothing to guard there.
		_ = http.NewResponseController(s.w).SetWriteDeadline(s.written.Add(takeWithin))
	}
	return nil
}

// patience is how long there is nothing to say if nothing changes.
func (s *stream) patience(now time.Time) time.Duration {
	until := s.written.Add(wire.Heartbeat)
	if !s.expires.IsZero() && s.expires.Before(until) {
		until = s.expires
	}
	if s.held != nil && s.until.Before(until) {
		until = s.until
	}
	return max(0, until.Sub(now))
}
