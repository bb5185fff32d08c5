package query

import (
	"fmt"
	"net/http"
	"time"
)

// SendPiece sends a piece of a streamed answer at once, an empty one the headers alone. It
// fails when the client has not taken it within the time given, and the stream has to end
// then: part of the piece may have been sent.
func SendPiece(w http.ResponseWriter, piece []byte, within time.Duration) error {
	c := http.NewResponseController(w)
	// Fails where w is no connection, as in tests: there is nothing to guard there.
	_ = c.SetWriteDeadline(time.Now().Add(within))
	if _, err := w.Write(piece); err != nil {
		return fmt.Errorf("send a piece of a stream: %w", err)
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("send a piece of a stream: %w", err)
	}
	// Over HTTP/2 a deadline that passes ends the stream also where nothing is being sent.
	if rec, ok := w.(*recorder); ok {
		_ = c.SetWriteDeadline(never(rec.request))
	}
	return nil
}

// never is a deadline that does not pass while r is answered. Over HTTP/2 it is not the
// zero time: net/http knows by a deadline that it stopped that a stream has ended. To one
// that had none it gives the next deadline nevertheless, and keeps it for that time, so
// that requests which their clients reset at once would pile up.
func never(r *http.Request) time.Time {
	if r.ProtoMajor < 2 {
		return time.Time{}
	}
	return time.Now().AddDate(1, 0, 0)
}
