package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector/view"
)

func newPartitions() *cobra.Command {
	o := &options{}
	var asJSON bool
	cmd := &cobra.Command{
		Use: "partitions", Short: "Show owner, position and lag of every partition", Args: cobra.NoArgs,
		Long: `Show, for every partition of the serving generation: the projector that owns it and for how
long its lease still holds, the stream sequence up to which its views include every event,
how far that is behind the stream, and how long the oldest event that its views lack has been
waiting in the stream, by the broker's clock. With < before it that is the most that it can
be: it is so where stream and views have different numbers of partitions. A - is for none: no
event waits, or there are no views of this stream, as the state says then.

It reads and changes nothing. What keeps a partition from going on stands in its owner's
/partitions, /readyz and log. Where NATS does not answer it shows what Redis knows.

The exit status is 0 if all is known, 2 if some is not and shown as ?, else 1.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := o.storedViews(cmd.Context())
			if err != nil {
				return err
			}
			defer b.close()
			js, disconnect, err := o.jetStream()
			var away *notConnected
			switch {
			case err == nil:
				b.jetStream = js
				b.onClose(disconnect)
			case !errors.As(err, &away):
				return err
			}
			overview, err := b.partitions(cmd.Context(), err)
			if err != nil {
				return err
			}
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(overview)
			} else {
				err = overview.write(cmd.OutOrStdout(), cmd.ErrOrStderr())
			}
			if err == nil && !overview.whole() {
				return exitCode(exitCannotTell)
			}
			return err
		},
	}
	o.operator(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// overview is where all partitions stand.
type overview struct {
	view.Serving
	StreamPartitions int               `json:"streamPartitions,omitempty"`
	StreamLast       *uint64           `json:"streamLastSequence,omitempty"`
	StreamError      string            `json:"streamError,omitempty"` // why nothing is known of the stream
	All              []partitionStatus `json:"all"`
}

// partitionStatus is where a partition stands. What is not known is nil.
type partitionStatus struct {
	Partition    int      `json:"partition"`
	Owner        string   `json:"owner,omitempty"`
	LeaseSeconds float64  `json:"leaseSeconds,omitempty"`
	Position     *uint64  `json:"position,omitempty"`
	Lag          *uint64  `json:"lag,omitempty"`        // sequences of the stream behind which the position is
	LagSeconds   *float64 `json:"lagSeconds,omitempty"` // how long the oldest event that the views lack has been in the stream; 0 if they lack none
	LagAtMost    bool     `json:"lagAtMost,omitempty"`  // LagSeconds is the most that it can be
	State        string   `json:"state"`
	Error        string   `json:"error,omitempty"`
}

// partitions reads where all partitions stand. A partition that cannot be read says so; the
// others do not wait for it. Away is why there is no connection to NATS.
func (b *backend) partitions(ctx context.Context, away error) (*overview, error) {
	serving, err := b.views.Serving(ctx)
	if err != nil {
		return nil, err
	}
	if serving == (view.Serving{}) {
		return nil, errors.New("no generation serves: no projector has run with this --redis-url and --redis-prefix yet")
	}
	// A lease that cannot be read is in a shard whose position cannot be read either.
	leases, leasesErr := b.views.Leases(ctx, serving.Generation)
	if len(leases) != serving.Partitions {
		return nil, fmt.Errorf("leases: %w", leasesErr)
	}
	o := &overview{Serving: serving}
	var stream *consumer.Stream // nil if nothing is known of it
	if away == nil {
		var found consumer.Stream
		if found, away = consumer.Describe(ctx, b.jetStream); away == nil {
			stream = &found
			o.StreamPartitions, o.StreamLast = found.Partitions, &found.LastSequence
		}
	}
	if away != nil {
		o.StreamError = away.Error()
	}
	for p, lease := range leases {
		bounded, cancel := context.WithTimeout(ctx, 5*time.Second)
		pos, _, err := b.views.Load(bounded, serving.Generation, p, nil)
		cancel()
		s := partitionStatus{Partition: p, Owner: lease.Owner, LeaseSeconds: lease.Remaining.Seconds(), State: "unknown"}
		if err == nil {
			s.Position, s.State = &pos.Sequence, stateOf(pos, stream)
			err = b.lag(ctx, &s, serving.Partitions, pos, stream)
		}
		if err != nil {
			s.Error = err.Error()
		}
		o.All = append(o.All, s)
	}
	return o, ctx.Err()
}

// lag finds out how far a partition is behind the stream, as far as that can be said.
func (b *backend) lag(ctx context.Context, s *partitionStatus, partitions int, pos view.Position, stream *consumer.Stream) error {
	if stream == nil || pos.Stream != stream.Created {
		return nil
	}
	behind := stream.LastSequence - min(stream.LastSequence, pos.Sequence)
	s.Lag = &behind
	if behind == 0 {
		s.LagSeconds = new(0.0)
		return nil
	}
	oldest, exact, err := consumer.Waiting(ctx, b.jetStream, *stream, partitions, s.Partition, pos.Sequence)
	if err != nil {
		return err
	}
	if oldest == (consumer.Mark{}) {
		s.LagSeconds = new(0.0)
		return nil
	}
	end, err := streamEnd{b.jetStream}.End(ctx) // for the time by the broker's clock
	if err != nil {
		return err
	}
	s.LagSeconds, s.LagAtMost = new(max(0, end.At.Sub(time.Unix(0, oldest.Received)).Seconds())), !exact
	return nil
}

// whole reports whether all is known.
func (o *overview) whole() bool {
	for _, p := range o.All {
		if p.Error != "" {
			return false
		}
	}
	return o.StreamError == ""
}

// stateOf is what a position record says of its views, in a word or two.
func stateOf(pos view.Position, stream *consumer.Stream) string {
	switch {
	case pos == view.Position{}:
		return "no views"
	case stream != nil && pos.Stream != stream.Created:
		return "of another stream"
	case pos.Restoring != "":
		return "restoring"
	case pos.Refilling():
		return "refilling " + strconv.FormatUint(100*pos.Sequence/pos.Refill, 10) + "%"
	case pos.Sealed():
		return "sealed"
	}
	return "whole"
}
