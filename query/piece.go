package query

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Why SendPiece fails.
var (
	ErrClientSlow = errors.New("the client has not taken it in time")
	ErrClientLeft = errors.New("the client has gone")
)

// SendPiece sends a piece of a streamed answer at once, an empty one the headers alone. It
// fails with ErrClientSlow when the client has not taken it within the time given, else with
// ErrClientLeft, and the stream has to end then: part of the piece may have been sent.
func SendPiece(w http.ResponseWriter, piece []byte, within time.Duration) error {
	c := http.NewResponseController(w)
	deadline := time.Now().Add(within)
	// Fails where w is no connection, as in tests: there is nothing to guard there.
	_ = c.SetWriteDeadline(deadline)
	_, err := w.Write(piece)
	if err == nil {
		err = c.Flush()
	}
	if err != nil {
		why := ErrClientLeft
		if !time.Now().Before(deadline) { // over HTTP/2 the error does not tell
			why = ErrClientSlow
		}
		return fmt.Errorf("send a piece of a stream: %w: %w", why, err)
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
