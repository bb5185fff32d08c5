package consumer

import (
	"context"
	"math"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// unsettled is Stream.Uniform while the number of partitions is being changed.
	unsettled = math.MaxUint64
	// The servers that replicate a stream each learn of its new transform by themselves, and
	// each applies the one that it knows. After so long all have.
	settling = 2 * time.Second
)

// spreadOf is the stream's number of partitions and from where on it is right.
func spreadOf(info *jetstream.StreamInfo) (partitions int, uniform uint64, err error) {
	partitions = partitionsOf(info.Config.SubjectTransform)
	if partitions == 0 {
		return 0, 0, &StreamError{Stream: info.Config.Name, Differences: []string{
			"subject transform is " + strconv.Quote(transformText(info.Config.SubjectTransform)),
		}}
	}
	uniform, err = metadataNumber(&info.Config, metadataUniform, 1)
	return partitions, uniform, err
}

// settled makes sure that a change of the number of partitions was finished.
func settled() setting {
	return setting{
		name: "sequence from which the partitions are right",
		want: "a sequence",
		is:   func(c *jetstream.StreamConfig) any { return strconv.Quote(c.Metadata[metadataUniform]) },
		ok: func(c *jetstream.StreamConfig) bool {
			n, err := metadataNumber(c, metadataUniform, 1)
			return err == nil && n != unsettled
		},
		set: func(*jetstream.StreamConfig) {}, // respread does
		differ: func(c *jetstream.StreamConfig) string {
			if n, err := metadataNumber(c, metadataUniform, 1); err == nil && n == unsettled {
				return "a change of the number of partitions was cut off"
			}
			return ""
		},
	}
}

// respread changes the event stream. Another number of partitions goes in three steps, so
// that whoever reads meanwhile never takes a partition as stored for the right one: first the
// metadata says that none is, then the transform changes, and then the metadata says from
// where on they all are. If it is cut off, the next Apply goes on.
func respread(ctx context.Context, js jetstream.JetStream, old *jetstream.StreamInfo, config jetstream.StreamConfig) error {
	spread, whole := settled(), transform(partitionsOf(config.SubjectTransform))
	if whole.ok(&old.Config) && spread.ok(&old.Config) {
		return update(ctx, js, old, config)
	}
	before := withMetadata(old.Config, metadataUniform, unsettled)
	if err := update(ctx, js, old, before); err != nil {
		return err
	}
	if err := update(ctx, js, old, withMetadata(config, metadataUniform, unsettled)); err != nil {
		return err
	}
	if config.Replicas > 1 || old.Config.Replicas > 1 {
		select {
		case <-time.After(settling):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	info, err := (&api{js: js, stream: config.Name}).info(ctx)
	if err != nil {
		return err
	}
	return update(ctx, js, info, withMetadata(info.Config, metadataUniform, info.State.LastSeq+1))
}
