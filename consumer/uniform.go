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
//
// The broker compares nothing before it changes a stream, so that somebody who changes it at
// the same moment may undo a step. That is found, and all three are taken again.
func respread(ctx context.Context, js jetstream.JetStream, old *jetstream.StreamInfo, config jetstream.StreamConfig) error {
	spread, whole := settled(), transform(partitionsOf(config.SubjectTransform))
	if whole.ok(&old.Config) && spread.ok(&old.Config) {
		return update(ctx, js, old, config)
	}
	a := &api{js: js, stream: config.Name}
	for range respreads {
		done, err := a.respread(ctx, config)
		if done || err != nil {
			return err
		}
	}
	return errConcurrent
}

// respreads is how often a change that somebody interferes with is tried.
const respreads = 3

// respread takes the three steps; false if one of them did not stand.
func (a *api) respread(ctx context.Context, config jetstream.StreamConfig) (bool, error) {
	info, err := a.info(ctx)
	if err != nil {
		return false, err
	}
	if err := update(ctx, a.js, info, withMetadata(info.Config, metadataUniform, unsettled)); err != nil {
		return false, err
	}
	if info, err = a.info(ctx); err != nil {
		return false, err
	}
	config = withMetadata(config, metadataUniform, unsettled)
	if erased, ok := info.Config.Metadata[metadataErased]; ok { // as it is now, not as it was
		config.Metadata[metadataErased] = erased
	}
	if err := update(ctx, a.js, info, config); err != nil {
		return false, err
	}
	if config.Replicas > 1 || info.Config.Replicas > 1 {
		select {
		case <-time.After(settling):
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	if info, err = a.info(ctx); err != nil || !sameSpread(&info.Config, &config) {
		return false, err
	}
	config = withMetadata(info.Config, metadataUniform, info.State.LastSeq+1)
	if err := update(ctx, a.js, info, config); err != nil {
		return false, err
	}
	info, err = a.info(ctx)
	return err == nil && sameSpread(&info.Config, &config), err
}

// sameSpread reports whether two configurations say the same of the partitions.
func sameSpread(a, b *jetstream.StreamConfig) bool {
	return transformText(a.SubjectTransform) == transformText(b.SubjectTransform) &&
		a.Metadata[metadataUniform] == b.Metadata[metadataUniform]
}
