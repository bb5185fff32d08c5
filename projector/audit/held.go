package audit

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/view"
)

// held is one partition of a fold in memory. It knows how much it holds, and forgets what a
// pass no longer asks for.
type held struct {
	mu       sync.Mutex
	clock    int64 // Unix milliseconds: what ended before it is forgotten
	position view.Position
	views    map[view.Key]heldView
	bytes    int64
	dropped  bool // the pass has given the partition up
}

type heldView struct {
	value    []byte
	expireAt int64 // Unix milliseconds; 0 never
}

// Bytes that a view costs beside its value and the strings of its key, roughly: a place in
// the map, and headers.
const viewOverhead = 160

func newHeld(at view.Position) *held {
	return &held{position: at, views: make(map[view.Key]heldView)}
}

func cost(k view.Key, v heldView) int64 {
	return int64(len(v.value)+len(k.Tenant)+len(k.ID)) + viewOverhead
}

// load returns the position and the stored form of views, nil where there is none.
func (h *held) load(keys []view.Key) (view.Position, [][]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	values := make([][]byte, len(keys))
	for i, k := range keys {
		values[i] = h.get(k)
	}
	return h.position, values
}

// get is a view's stored form, nil if there is none, or none any more.
func (h *held) get(k view.Key) []byte {
	v, ok := h.views[k]
	if !ok || v.ended(h.clock) {
		return nil
	}
	return v.value
}

// forgets is the time, in Unix nanoseconds, up to which views that have ended are forgotten.
func (h *held) forgets() int64 { return h.clock * int64(time.Millisecond) }

func (v *heldView) ended(clock int64) bool { return v.expireAt != 0 && v.expireAt < clock }

// commit writes the views and moves the position.
func (h *held) commit(c *projector.Commit) view.Position {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.position != c.From {
		return h.position
	}
	for i := range c.Writes {
		if !h.dropped {
			h.write(&c.Writes[i])
		}
	}
	h.position = c.To
	return c.To
}

func (h *held) write(w *projector.Write) {
	key := w.Key
	if old, ok := h.views[key]; ok {
		h.bytes -= cost(key, old)
	} else {
		// The strings may be parts of a message, which must not be kept for them.
		key.Tenant, key.ID = strings.Clone(key.Tenant), strings.Clone(key.ID)
	}
	if w.Value == nil {
		delete(h.views, key)
		return
	}
	v := heldView{value: slices.Clone(w.Value), expireAt: w.ExpireAt}
	h.views[key] = v
	h.bytes += cost(key, v)
}

// keep forgets the views that are not wanted, and those that have ended.
func (h *held) keep(wanted func(view.Key) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for k, v := range h.views {
		if v.ended(h.clock) || !wanted(k) {
			h.bytes -= cost(k, v)
			delete(h.views, k)
		}
	}
}

// give forgets everything: the pass has given the partition up.
func (h *held) give() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dropped, h.views, h.bytes = true, nil, 0
}

func (h *held) given() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.dropped
}

func (h *held) size() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.bytes
}

// at is the position.
func (h *held) at() view.Position {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.position
}

// keys are the keys of all views.
func (h *held) keys() []view.Key {
	h.mu.Lock()
	defer h.mu.Unlock()
	keys := make([]view.Key, 0, len(h.views))
	for k := range h.views {
		keys = append(keys, k)
	}
	return keys
}

// endedFor is how long a view must have ended, by the broker's clock, before the fold forgets
// it. An event after its end starts a new view, so nothing is lost; but the broker's clock may
// step back a little where another server takes over the stream.
const endedFor = 24 * time.Hour

// now takes note of the broker's time.
func (h *held) now(received int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clock = max(h.clock, time.Unix(0, received).Add(-endedFor).UnixMilli())
}
