// Package client asks a pinstatus service what became of PIN codes, and which PINs of an
// account are set, unset or locked. It speaks the service's /v1.
//
//	c, err := client.New("https://pins.example.com", client.WithAPIKey(key))
//	…
//	account, err := c.Account(ctx, "alice")
//	if errors.Is(err, client.ErrNotFound) {
//		…
//	}
//
// # Errors
//
// An answer that is no view is an *Error, which says what the service said, and which
// errors.Is compares with ErrNotFound, ErrUnauthorized, ErrForbidden, ErrBehind, ErrLimited
// and ErrUnavailable. Any other error is the context's, or says why there was no answer.
// Errors hold no id of an account or a PIN code, and no credential, but for what the service
// quotes.
//
// What fails for a moment is tried again a few times, as Retry says: 429, 502, 503 and 504,
// with the time that the service asks for, and connections that fail. Give each question a
// context with a deadline, which bounds it as a whole.
//
// # Views
//
// A view says in Sequence which event of the stream has changed it last, and in ETag what it
// is now. With them one can ask for what is newer:
//
//   - IfChanged returns ErrNotModified where a view is still the same, and together with Wait
//     only after it was so for that time: a long poll.
//   - MinSequence waits until an event has been processed that one has published oneself.
//
// # Watches
//
// WatchPIN and WatchAccount return an iterator that yields a view now, and again whenever it
// has changed:
//
//	for u, err := range c.WatchAccount(ctx, "alice") {
//		if err != nil {
//			return err
//		}
//		…
//	}
//
// A key without a view is waited for. Updates come in order, and none shows the same
// view as the one before. Changes may be merged where they come faster than the loop takes
// them, or while the watch is cut off; the latest always arrives. Where the view ends, an
// update says that it is Gone, and the watch goes on.
//
// A watch goes on where its connection is cut, the service restarts, or is overloaded or
// unavailable: it connects again by itself, about half a minute apart at most unless the service
// asks for more, and misses nothing that still holds. Retry.Notify tells of it. A connection of
// which nothing is heard for 45 s, not even a heartbeat, counts as cut. The watch ends when the
// loop is left, and with an error, which is the last that is yielded, when its context ends,
// when the credential is refused (401, 403), or when the service cannot answer such a question
// at all. Where tokens expire, the function of WithToken is asked for a new one in time for
// the next connection.
package client
