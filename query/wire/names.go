package wire

import "time"

// Headers of requests and answers that are the API's own, or are used in its own way.
const (
	// HeaderMinSequence has a request wait until a stream sequence, from the
	// acknowledgement of a publish, has been processed for the key.
	HeaderMinSequence = "Pinstatus-Min-Sequence"

	// HeaderPrefer with "wait=<seconds>" has a request wait for another view (RFC 7240).
	HeaderPrefer            = "Prefer"
	HeaderPreferenceApplied = "Preference-Applied"

	// HeaderLastEventID resumes a watch.
	HeaderLastEventID = "Last-Event-ID"
)

// MaxWait is the longest that "Prefer: wait" can ask for.
const MaxWait = 60 * time.Second

// Events of a watch, which is a stream of Server-Sent Events.
const (
	// EventView has a view as its data, as a GET answers it, and its ETag without the
	// quotes as its id.
	EventView = "view"

	// EventGone says that there is no view any more: the PIN code was erased or its
	// retention has ended, the account was deleted. Its id is IDGone.
	EventGone = "gone"
	IDGone    = "gone"
)

// EventStreamContentType is the media type of a watch.
const EventStreamContentType = "text/event-stream"

// Heartbeat is after how long without an event a watch sends a comment.
const Heartbeat = 15 * time.Second
