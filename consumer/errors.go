package consumer

import (
	"errors"
	"fmt"
	"strings"
)

// ErrClosed means that the connection was closed for good, by whoever owns it.
var ErrClosed = errors.New("connection to the broker is closed")

// StreamError says how a stream differs from what pinstatus needs.
type StreamError struct {
	Stream      string
	Differences []string // each names the setting, what it is and what it must be
}

func (e *StreamError) Error() string {
	return fmt.Sprintf("stream %s: %s: run \"pinstatus streams apply\"", e.Stream, strings.Join(e.Differences, "; "))
}

// PartitionError means that a message is stored under another partition than its subject
// belongs to: the stream's subject transform is not the one that it had when the message
// came, or not the one of pinstatus. Reading on would split a key between two partitions.
type PartitionError struct {
	Sequence   uint64
	Partition  string // as stored
	Want       int
	Partitions int
}

func (e *PartitionError) Error() string {
	return fmt.Sprintf("message %d is stored under partition %s and belongs to %d of %d: the number of partitions was changed under stored events",
		e.Sequence, e.Partition, e.Want, e.Partitions)
}

// PlaceError means that a Handler has taken more of a partition than the stream ever held:
// the stream lost its newest messages, or is another one.
type PlaceError struct {
	Position     uint64 // the Handler's
	LastSequence uint64 // of the stream
}

func (e *PlaceError) Error() string {
	return fmt.Sprintf("position %d is beyond the stream's last sequence %d", e.Position, e.LastSequence)
}

// A restart is why reading had to begin anew; reason is the metric's label.
type restart struct {
	reason string
	err    error
}

func (r *restart) Error() string { return r.reason + ": " + r.err.Error() }
func (r *restart) Unwrap() error { return r.err }

// reasonOf is the reason of a restart; an error of any other kind is the handler's.
func reasonOf(err error) string {
	var r *restart
	if errors.As(err, &r) {
		return r.reason
	}
	return reasonHandler
}

// The reasons of restarts.
const (
	reasonStreamInfo    = "stream-info"     // the broker does not answer for the stream
	reasonOpen          = "open"            // the handler did not open
	reasonPlace         = "place"           // the handler's place is beyond the stream
	reasonCreate        = "create-consumer" // the broker made no consumer
	reasonDisconnect    = "disconnect"      // the connection broke
	reasonHeartbeat     = "heartbeat"       // the broker has gone quiet
	reasonConsumer      = "consumer-lost"   // the consumer is deleted, or its server stopped leading
	reasonGap           = "gap"             // a message of the consumer is missing
	reasonRetention     = "retention"       // messages were removed before they were read
	reasonStream        = "stream-changed"  // the stream is another one, or lost its newest messages
	reasonPartition     = "partition"       // PartitionError
	reasonRewind        = "rewind"          // ErrRewind
	reasonHandler       = "handler"         // any other error of the handler
	reasonBlocked       = "blocked"         // one partition held up the others: they are read one by one
	reasonUntransformed = "untransformed"   // partition 0 needs a message that no filter finds
	reasonOtherwise     = "otherwise"       // there is a better way to read by now
)

var restartReasons = []string{
	reasonStreamInfo, reasonOpen, reasonPlace, reasonCreate, reasonDisconnect, reasonHeartbeat, reasonConsumer,
	reasonGap, reasonRetention, reasonStream, reasonPartition, reasonRewind, reasonHandler,
	reasonBlocked, reasonUntransformed, reasonOtherwise,
}

// RefusedError is why Apply left a stream as it is: it does not destroy anything unless it
// is told to.
type RefusedError struct {
	Stream string
	Harms  []string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("stream %s is left as it is: %s: force the change if that is meant", e.Stream, strings.Join(e.Harms, "; "))
}
