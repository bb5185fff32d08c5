package v1

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/wire"
)

// sequenceWait is how long a request waits for a sequence if it does not say.
const sequenceWait = 5 * time.Second

// get answers a view.
func (d *Dialect) get(w http.ResponseWriter, r *http.Request, t *target, q *request) error {
	if !q.waits() {
		snap, err := d.service.Read(r.Context(), t.Tenant, t.key)
		return answer(w, t, q, snap, err)
	}
	var snap *query.Snapshot
	var err error
	return query.Await(r.Context(), func() {
		snap, _, err = d.service.Wait(r.Context(), t.Tenant, t.key, t.within(q.condition(t.id)))
	}, func() error {
		q.waited(w.Header(), err)
		return answer(w, t, q, snap, err)
	})
}

// waited says that the wait which was asked for has been honoured, if it has.
func (q *request) waited(h http.Header, err error) {
	var behind *query.BehindError
	if q.wait > 0 && (err == nil || errors.As(err, &behind)) {
		h.Set(wire.HeaderPreferenceApplied, "wait="+strconv.Itoa(int(q.wait/time.Second)))
	}
}

// answer answers the view of a snapshot, unless there is an error instead.
func answer(w http.ResponseWriter, t *target, q *request, snap *query.Snapshot, err error) error {
	if err != nil {
		return err
	}
	if !snap.Exists() {
		return query.ErrNotFound
	}
	e := newEncoder()
	tag := e.view(t.id, snap)
	if q.match.names(tag) {
		notModified(w, tag)
		e.free()
		return nil
	}
	w.Header().Set("ETag", tag.header())
	if query.WriteBody(w, http.StatusOK, "application/json", e.buf) == nil {
		e.free()
	}
	return nil
}

func notModified(w http.ResponseWriter, tag etag) {
	w.Header().Set("ETag", tag.header())
	w.WriteHeader(http.StatusNotModified)
}

// waits reports whether the request asks to wait for something.
func (q *request) waits() bool { return q.wait > 0 || q.minSequence > 0 }

// condition is what a request that waits for a view waits for.
func (q *request) condition(id string) query.Condition {
	c := query.Condition{Sequence: q.minSequence, For: cmp.Or(q.wait, sequenceWait)}
	switch {
	case q.wait == 0: // for its sequence alone
	case q.match.given:
		c.Seen = q.match.newest().sequence // by the answer of a replica that knew more, perhaps
		c.Met = func(s *query.Snapshot) bool { return !s.Exists() || !q.match.names(tagOf(id, s)) }
	case q.minSequence == 0:
		c.Met = (*query.Snapshot).Exists
	}
	return c
}

// within has a wait end when its credential does.
func (t *target) within(c query.Condition) query.Condition {
	if !t.Expires.IsZero() {
		c.For = min(c.For, time.Until(t.Expires))
	}
	return c
}

// tagOf is the tag of a view that exists.
func tagOf(id string, s *query.Snapshot) etag {
	e := newEncoder()
	defer e.free()
	return e.view(id, s)
}
