package v1

import (
	"net/http"
	"strconv"
	"time"

	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/wire"
)

// A stream is a series of Server-Sent Events (HTML Living Standard, section 9.2): blocks of
// lines, each block ended by an empty line.

// reconnectAfter is how soon a client comes again whose stream has ended.
const reconnectAfter = 2 * time.Second

var (
	beginning = "retry: " + strconv.Itoa(int(reconnectAfter/time.Millisecond)) + "\n\n"
	viewStart = "event: " + wire.EventView + "\nid: "
	goneEvent = "event: " + wire.EventGone + "\nid: " + wire.IDGone + "\ndata: {}\n\n"
	heartbeat = ":\n\n"
)

func streamHeaders(h http.Header) {
	h.Set("Content-Type", wire.EventStreamContentType)
	h.Set("X-Accel-Buffering", "no") // has nginx pass each piece on at once
}

// comment appends what a client reads over.
func (e *encoder) comment(text string) { e.raw(": "); e.raw(text); e.raw("\n\n") }

// viewEvent appends the event of a view that exists, and returns its tag. The body has no
// line ends: JSON escapes them.
func (e *encoder) viewEvent(id string, s *query.Snapshot) etag {
	e.raw(viewStart)
	at := len(e.buf)
	tag := etag{sequence: sequenceOf(s)}
	e.buf = tag.append(e.buf) // takes the space
	e.raw("\ndata: ")
	tag = e.view(id, s)
	tag.append(e.buf[:at])
	e.raw("\n\n")
	return tag
}
