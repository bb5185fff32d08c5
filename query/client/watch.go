package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/pinstatus/pinstatus/query/wire"
)

const (
	// silence is how long nothing may come of a watch: three of the service's heartbeats.
	silence = 3 * wire.Heartbeat

	// The time before a watch connects again: by default, and within which bounds the
	// service may set it.
	reconnectAfter  = 2 * time.Second
	reconnectLeast  = 100 * time.Millisecond
	reconnectMost   = time.Minute
	reconnectSlowly = 30 * time.Second // the longest after failures, unless the service asks for more
)

// WatchPIN yields the view of a PIN code now, as soon as there is one, and again whenever it has
// changed; see the package's documentation. It needs a credential with the scope
// deliveries:read.
func (c *Client) WatchPIN(ctx context.Context, id string, opts ...ReadOption) iter.Seq2[Update[PIN], error] {
	return watch[PIN](ctx, c, pins, "watch PIN code", id, opts)
}

// WatchAccount yields the state of all PINs of an account now, as soon as it exists, and again
// whenever it has changed, the end of a lock included; see the package's documentation. It
// needs a credential with the scope pins:read.
func (c *Client) WatchAccount(ctx context.Context, id string, opts ...ReadOption) iter.Seq2[Update[Account], error] {
	return watch[Account](ctx, c, accounts, "watch account", id, opts)
}

// watch follows a view until ctx ends, the caller leaves its loop, or going on makes no sense.
// Each loop over it is a watch of its own.
func watch[T any](ctx context.Context, c *Client, collection, what, id string, opts []ReadOption) iter.Seq2[Update[T], error] {
	return func(yield func(Update[T], error) bool) {
		w, err := newWatcher(c, collection, id, opts)
		for err == nil {
			left := false
			err = w.connect(ctx, func(m message, id string) (bool, error) {
				u, err := newUpdate[T](m, id)
				if err != nil {
					return false, err
				}
				left = !yield(u, nil)
				return !left, nil
			})
			if left {
				return
			}
			err = w.rest(ctx, err)
		}
		yield(Update[T]{}, fmt.Errorf("%s: %w", what, err))
	}
}

func newUpdate[T any](m message, id string) (Update[T], error) {
	u := Update[T]{Gone: m.event == wire.EventGone}
	if id != "" {
		u.ETag = `"` + id + `"`
	}
	if u.Gone {
		return u, nil
	}
	u.View = new(T)
	if err := json.Unmarshal(m.data, u.View); err != nil {
		return u, fmt.Errorf("malformed view: %w", err)
	}
	return u, nil
}

// watcher is one watch over all its connections.
type watcher struct {
	client   *Client
	path     string
	sequence uint64 // that the first view has to include; 0 once there was one
	lastID   string // with which to resume
	shown    string // id of the update yielded last
	base     time.Duration
	delays   *backoff.ExponentialBackOff
}

func newWatcher(c *Client, collection, id string, opts []ReadOption) (*watcher, error) {
	cond, err := newCondition(opts)
	if err != nil {
		return nil, err
	}
	if cond.wait > 0 {
		return nil, errors.New("a watch takes no Wait: it waits anyway")
	}
	path, err := member(collection, id)
	if err != nil {
		return nil, err
	}
	seen := strings.Trim(strings.TrimPrefix(cond.etag, "W/"), `"`)
	w := &watcher{client: c, path: path + "/watch", sequence: cond.sequence, lastID: seen, shown: seen}
	w.reconnects(reconnectAfter)
	return w, nil
}

// reconnects sets the time before the watch connects again.
func (w *watcher) reconnects(after time.Duration) {
	after = min(max(after, reconnectLeast), reconnectMost)
	if after != w.base {
		w.base, w.delays = after, newDelays(after, max(after, reconnectSlowly))
	}
}

// errSilent is the end of a connection of which nothing is heard any more.
var errSilent = fmt.Errorf("nothing was heard for %s", silence)

// errEnded is a stream that the service has ended.
var errEnded = errors.New("the service ended the stream")

// connect asks for the stream once and hands on its events, until it ends or take does not go
// on.
func (w *watcher) connect(ctx context.Context, take func(m message, id string) (bool, error)) error {
	alive, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	dead := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer dead.Stop()
	res, err := w.client.send(alive, w.client.watching, &request{method: http.MethodGet, path: w.path, header: w.header()})
	if err != nil {
		return w.cut(alive, err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return failure(res)
	}
	if t := mediaType(res.Header); t != wire.EventStreamContentType {
		return fmt.Errorf("answered with %q instead of a stream of events: is this the URL of the service?", t)
	}
	events := newEventReader(&heardReader{res.Body, dead})
	for {
		m, err := events.next()
		if events.retry > 0 {
			w.reconnects(events.retry)
		}
		if events.heartbeats > 0 {
			w.delays.Reset()
		}
		switch {
		case errors.Is(err, errEventTooLarge):
			return err
		case errors.Is(err, io.EOF):
			return newExchangeError(errEnded)
		case err != nil:
			return w.cut(alive, newExchangeError(err))
		}
		if m.event != wire.EventView && m.event != wire.EventGone {
			continue // of a newer service
		}
		w.delays.Reset()
		w.lastID, w.sequence = events.lastID, 0
		if w.lastID == w.shown && w.shown != "" {
			continue // another replica has not seen that we have it
		}
		more, err := take(m, w.lastID)
		if err != nil || !more {
			return err
		}
		w.shown = w.lastID
	}
}

func (w *watcher) header() http.Header {
	h := http.Header{}
	h.Set("Accept", wire.EventStreamContentType)
	h.Set("Accept-Encoding", "identity") // what is compressed may be held back
	if w.lastID != "" {
		h.Set(wire.HeaderLastEventID, w.lastID)
	}
	if w.sequence > 0 {
		h.Set(wire.HeaderMinSequence, strconv.FormatUint(w.sequence, 10))
	}
	return h
}

// cut names why a connection has ended.
func (w *watcher) cut(alive context.Context, err error) error {
	if errors.Is(context.Cause(alive), errSilent) {
		// The next connection must not be this one, which others may share.
		w.client.CloseIdleConnections()
		return newExchangeError(errSilent)
	}
	return err
}

// rest waits until it is time to connect again after err. It returns why the watch cannot go
// on, if it cannot.
func (w *watcher) rest(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	asked, goesOn := resumes(err)
	if !goesOn {
		return err
	}
	after := max(asked, w.delays.NextBackOff())
	w.client.retry.notify(err, after)
	if !pause(ctx, after) {
		return ctx.Err()
	}
	return nil
}

// resumes reports whether a watch goes on after the end of a connection, and after what time
// the service asks it to. It gives up where it is told that its question is wrong, and not for
// any fault of the moment.
func resumes(err error) (after time.Duration, goesOn bool) {
	var answer *Error
	if errors.As(err, &answer) {
		switch answer.Status {
		case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests:
			return answer.RetryAfter, true
		case http.StatusNotImplemented:
			return 0, false
		}
		return answer.RetryAfter, answer.Status >= http.StatusInternalServerError
	}
	return mayPass(err)
}

// heardReader is a stream that is given up where it is waited for too long. The time that the
// caller takes for an update does not count.
type heardReader struct {
	body io.Reader
	dead *time.Timer
}

func (r *heardReader) Read(p []byte) (int, error) {
	r.dead.Reset(silence)
	defer r.dead.Stop()
	return r.body.Read(p)
}
