package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
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
and how far that is behind the stream.

It reads and changes nothing. What keeps a partition from going on stands in its owner's
/partitions, /readyz and log.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := o.backend(cmd.Context())
			if err != nil {
				return err
			}
			defer b.close()
			overview, err := b.partitions(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(overview)
			}
			return overview.write(cmd.OutOrStdout())
		},
	}
	o.operator(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// overview is where all partitions stand.
type overview struct {
	view.Serving
	StreamPartitions int               `json:"streamPartitions"`
	StreamLast       uint64            `json:"streamLastSequence"`
	All              []partitionStatus `json:"all"`
}

type partitionStatus struct {
	Partition    int     `json:"partition"`
	Owner        string  `json:"owner,omitempty"`
	LeaseSeconds float64 `json:"leaseSeconds,omitempty"`
	Position     uint64  `json:"position"`
	Lag          uint64  `json:"lag"`                  // sequences of the stream behind which the position is
	LagSeconds   float64 `json:"lagSeconds,omitempty"` // between the broker's receipt of what was last folded, and of the stream's last
	State        string  `json:"state"`
	Error        string  `json:"error,omitempty"`
}

// partitions reads where all partitions stand. A partition that cannot be read says so; the
// others do not wait for it.
func (b *backend) partitions(ctx context.Context) (*overview, error) {
	stream, err := consumer.Describe(ctx, b.jetStream)
	if err != nil {
		return nil, err
	}
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
	o := &overview{Serving: serving, StreamPartitions: stream.Partitions, StreamLast: stream.LastSequence}
	for p, lease := range leases {
		bounded, cancel := context.WithTimeout(ctx, 5*time.Second)
		pos, _, err := b.views.Load(bounded, serving.Generation, p, nil)
		cancel()
		o.All = append(o.All, statusOf(p, lease, pos, err, &stream))
	}
	return o, nil
}

func statusOf(p int, lease view.Lease, pos view.Position, err error, stream *consumer.Stream) partitionStatus {
	s := partitionStatus{
		Partition: p, Owner: lease.Owner, LeaseSeconds: lease.Remaining.Seconds(),
		Position: pos.Sequence, State: stateOf(pos, stream),
	}
	if err != nil {
		s.State, s.Error = "unknown", err.Error()
		return s
	}
	if pos.Stream != stream.Created {
		return s
	}
	s.Lag = stream.LastSequence - min(stream.LastSequence, pos.Sequence)
	if behind := time.Duration(stream.Last.Received - pos.Witness); s.Lag > 0 && pos.Witness > 0 && behind > 0 {
		s.LagSeconds = behind.Seconds()
	}
	return s
}

// stateOf is what a position record says of its views, in a word or two.
func stateOf(pos view.Position, stream *consumer.Stream) string {
	switch {
	case pos == view.Position{}:
		return "no views"
	case pos.Stream != stream.Created:
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

func (o *overview) write(out io.Writer) error {
	generation := fmt.Sprintf("Generation %d of %d partitions", o.Number, o.Partitions)
	if o.Next != (view.Generation{}) {
		generation += fmt.Sprintf(", generation %d of %d partitions is being filled", o.Next.Number, o.Next.Partitions)
	}
	if o.StreamPartitions != o.Partitions {
		generation += fmt.Sprintf("; the stream spreads keys over %d", o.StreamPartitions)
	}
	fmt.Fprintf(out, "%s. The stream's last sequence is %d.\n\n", generation, o.StreamLast)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "partition\tposition\tlag\tseconds\tlease\tstate\t  owner")
	owners := map[string]int{}
	for _, p := range o.All {
		owner, lease := "-", "-"
		if p.Owner != "" {
			owner, lease = p.Owner, fmt.Sprintf("%.1fs", p.LeaseSeconds)
			owners[p.Owner]++
		}
		fmt.Fprintf(w, "%d\t%d\t%d\t%.1f\t%s\t%s\t  %s\n", p.Partition, p.Position, p.Lag, p.LagSeconds, lease, p.State, owner)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, p := range o.All {
		if p.Error != "" {
			fmt.Fprintf(out, "partition %d: %s\n", p.Partition, p.Error)
		}
	}
	_, err := fmt.Fprintf(out, "\n%d %s.\n", len(owners), plural(len(owners), "projector"))
	return err
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}
