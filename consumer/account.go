package consumer

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

var (
	errUnsettled  = errors.New("the number of partitions is being changed, or the change was cut off: run \"pinstatus streams apply\"")
	errConcurrent = errors.New("somebody else changed the stream at the same time")
)

// missing is the number of messages that are gone without an account. The state's own
// count of deleted messages leaves out those before the first and those of an empty stream.
func missing(info *jetstream.StreamInfo) (uint64, error) {
	erased, err := metadataNumber(&info.Config, metadataErased, 0)
	if err != nil {
		return 0, err
	}
	given := info.State.LastSeq + 1 - min(info.State.LastSeq+1, max(1, info.Config.FirstSeq))
	gone := given - min(given, info.State.Msgs)
	return gone - min(gone, erased), nil
}

// Account adds to the number of messages whose removal from the event stream is accounted
// for. Whoever erases calls it before the messages go, so that they are never missing. It is
// refused while the stream's number of partitions is being changed.
//
// The broker has no comparison for such a change of the stream, so that of two at the same
// moment one may be lost. Account looks afterwards whether its own stands and nothing else
// of the stream has changed meanwhile: if not there is an error, and less may be accounted
// for than was announced.
func Account(ctx context.Context, js jetstream.JetStream, removed uint64) error {
	a := &api{js: js, stream: EventStream}
	return a.account(ctx, func(*jetstream.StreamInfo) (uint64, error) { return removed, nil }, metadataErased)
}

// acceptDeletions accounts for all messages that are missing.
func acceptDeletions(ctx context.Context, js jetstream.JetStream) error {
	a := &api{js: js, stream: EventStream}
	return a.account(ctx, missing, metadataErased, metadataAccepted)
}

// account adds what more finds to numbers of the metadata, and nothing if that is nothing.
func (a *api) account(ctx context.Context, more func(*jetstream.StreamInfo) (uint64, error), names ...string) error {
	info, err := a.info(ctx)
	if err != nil {
		return err
	}
	removed, err := more(info)
	if err != nil || removed == 0 {
		return err
	}
	refuse := func(err error) error {
		return fmt.Errorf("stream %s: account for %d removed messages: %w", a.stream, removed, err)
	}
	if _, uniform, err := spreadOf(info); err != nil {
		return refuse(err)
	} else if uniform == unsettled {
		return refuse(errUnsettled)
	}
	want := info.Config
	for _, name := range names {
		before, err := metadataNumber(&info.Config, name, 0)
		if err != nil {
			return err
		}
		want = withMetadata(want, name, before+removed)
	}
	if err := update(ctx, a.js, info, want); err != nil {
		return refuse(err)
	}
	found, err := a.info(ctx)
	if err != nil {
		return err
	}
	if !sameSpread(&found.Config, &want) || found.Config.Metadata[metadataErased] != want.Metadata[metadataErased] {
		return refuse(errConcurrent)
	}
	return nil
}
