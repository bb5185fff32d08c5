package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pinstatus/pinstatus/query/wire"
)

// ReadOption is a condition of a question for one view, or of a watch.
type ReadOption func(*condition)

// condition is what a question for one view comes with.
type condition struct {
	sequence uint64
	wait     time.Duration
	etag     string
}

// MinSequence has the answer include an event: seq is its sequence in the event stream, which
// the acknowledgement of its publish gives. The service waits until the event has been
// processed, for as long as Wait says, or else for 5 s; then the error is ErrBehind. A watch
// begins with a view that includes the event.
func MinSequence(seq uint64) ReadOption {
	return func(c *condition) { c.sequence = seq }
}

// Wait has the service hold its answer back for up to d: until the event of MinSequence has been
// processed and the view differs from that of IfChanged; with neither of them, until there is a
// view at all. It is from 1 s to MaxWait, and rounded up to whole seconds. A watch waits
// anyway, and does not take it.
func Wait(d time.Duration) ReadOption {
	return func(c *condition) { c.wait = d }
}

// IfChanged has the error be ErrNotModified while the view is the one of this ETag. A watch
// begins with the first view that differs.
func IfChanged(etag string) ReadOption {
	return func(c *condition) { c.etag = etag }
}

func newCondition(opts []ReadOption) (*condition, error) {
	c := &condition{}
	for _, opt := range opts {
		opt(c)
	}
	if c.wait != 0 && (c.wait < time.Second || c.wait > wire.MaxWait) {
		return nil, fmt.Errorf("a wait of %s is not from 1s to %s", c.wait, wire.MaxWait)
	}
	if strings.ContainsFunc(c.etag, func(r rune) bool { return r < ' ' || r >= 0x7f }) {
		return nil, errors.New("the ETag has characters that no ETag has")
	}
	return c, nil
}

func (c *condition) header() http.Header {
	h := http.Header{}
	if c.sequence > 0 {
		h.Set(wire.HeaderMinSequence, strconv.FormatUint(c.sequence, 10))
	}
	if c.wait > 0 {
		h.Set(wire.HeaderPrefer, "wait="+strconv.FormatInt(int64((c.wait+time.Second-1)/time.Second), 10))
	}
	if c.etag != "" {
		h.Set("If-None-Match", c.etag)
	}
	return h
}

// held is how long the service may hold its answer back.
func (c *condition) held() time.Duration {
	if c.wait == 0 && c.sequence > 0 {
		return 5 * time.Second
	}
	return c.wait
}

// PIN asks what became of the messages and calls that were sent for a PIN code, and of its
// verification. It needs a credential with the scope deliveries:read.
func (c *Client) PIN(ctx context.Context, id string, opts ...ReadOption) (*PINView, error) {
	v := &PINView{}
	var err error
	if v.Meta, err = c.view(ctx, pins, id, opts, &v.PIN); err == nil && v.PINID != id {
		err = errNoView
	}
	if err != nil {
		return nil, fmt.Errorf("get PIN code: %w", err)
	}
	return v, nil
}

// Account asks for the state of all PINs of an account. It needs a credential with the scope
// pins:read, and a client's token reads its own account only.
func (c *Client) Account(ctx context.Context, id string, opts ...ReadOption) (*AccountView, error) {
	v := &AccountView{}
	var err error
	if v.Meta, err = c.view(ctx, accounts, id, opts, &v.Account); err == nil && v.AccountID != id {
		err = errNoView
	}
	if err != nil {
		return nil, fmt.Errorf("get account: %w", err)
	}
	return v, nil
}

// errNoView: the answer is JSON, and not what was asked for.
var errNoView = errors.New("answered with something else: is this the URL of the service?")

// PINTypes asks for the tenant's PIN types, and their policy. It needs a credential with the
// scope pins:read.
func (c *Client) PINTypes(ctx context.Context) (*PINTypes, error) {
	v := &PINTypes{}
	if _, err := c.ask(ctx, &request{method: http.MethodGet, path: "/v1/pinTypes"}, v); err != nil {
		return nil, fmt.Errorf("get PIN types: %w", err)
	}
	return v, nil
}

// Collections of the API.
const (
	pins     = "/v1/pins"
	accounts = "/v1/accounts"
)

// view asks for a view of a collection.
func (c *Client) view(ctx context.Context, collection, id string, opts []ReadOption, into any) (Meta, error) {
	cond, err := newCondition(opts)
	if err != nil {
		return Meta{}, err
	}
	path, err := member(collection, id)
	if err != nil {
		return Meta{}, err
	}
	return c.ask(ctx, &request{method: http.MethodGet, path: path, header: cond.header(), held: cond.held()}, into)
}
