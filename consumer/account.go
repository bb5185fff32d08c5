package consumer

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
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
// for. Whoever erases calls it before the messages go, so that they are never missing; the
// broker has no comparison for such a change, so that of two at the same moment one may be
// lost, which Account finds out as a rule: then there is an error, and less is accounted for
// than was removed.
func Account(ctx context.Context, js jetstream.JetStream, removed uint64) error {
	a := &api{js: js, stream: EventStream}
	info, err := a.info(ctx)
	if err != nil {
		return err
	}
	return a.account(ctx, info, removed)
}

// acceptDeletions accounts for all messages that are missing.
func acceptDeletions(ctx context.Context, js jetstream.JetStream) error {
	a := &api{js: js, stream: EventStream}
	info, err := a.info(ctx)
	if err != nil {
		return err
	}
	n, err := missing(info)
	if err != nil || n == 0 {
		return err
	}
	return a.account(ctx, info, n)
}

func (a *api) account(ctx context.Context, info *jetstream.StreamInfo, removed uint64) error {
	before, err := metadataNumber(&info.Config, metadataErased, 0)
	if err != nil {
		return err
	}
	after := before + removed
	if err := update(ctx, a.js, info, withMetadata(info.Config, metadataErased, after)); err != nil {
		return fmt.Errorf("stream %s: account for %d removed messages: %w", a.stream, removed, err)
	}
	if info, err = a.info(ctx); err != nil {
		return err
	}
	found, err := metadataNumber(&info.Config, metadataErased, 0)
	if err != nil {
		return err
	}
	if found != after {
		return fmt.Errorf("stream %s: account for %d removed messages: somebody else changed the stream at the same time", a.stream, removed)
	}
	return nil
}
