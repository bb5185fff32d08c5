package main

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
)

// unknown stands for what is not known.
const unknown = "?"

// write prints the overview for people, and what keeps it from being whole to errOut.
func (o *overview) write(out, errOut io.Writer) error {
	if o.StreamError != "" {
		fmt.Fprintf(errOut, "pinstatus: nothing is known of the stream: %s\n", o.StreamError)
	}
	generation := fmt.Sprintf("Generation %d of %d partitions", o.Number, o.Partitions)
	if o.Next != (view.Generation{}) {
		generation += fmt.Sprintf(", generation %d of %d partitions is being filled", o.Next.Number, o.Next.Partitions)
	}
	if o.StreamPartitions != 0 && o.StreamPartitions != o.Partitions {
		generation += fmt.Sprintf("; the stream spreads keys over %d", o.StreamPartitions)
	}
	fmt.Fprintf(out, "%s. The stream's last sequence is %s.\n\n", generation, number(o.StreamLast))
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "partition\tposition\tlag\twaiting\tlease\tstate\t  owner")
	owners := map[string]int{}
	for _, p := range o.All {
		owner, lease := "-", "-"
		switch {
		case p.Owner != "":
			owner, lease = p.Owner, fmt.Sprintf("%.1fs", p.LeaseSeconds)
			owners[p.Owner]++
		case p.Position == nil:
			owner, lease = unknown, unknown
		}
		lag, waiting := number(p.Lag), p.waiting()
		if p.Lag == nil && p.Error == "" && o.StreamError == "" { // the position is none in this stream
			lag, waiting = "-", "-"
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t  %s\n", p.Partition, number(p.Position), lag, waiting, lease, p.State, owner)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, p := range o.All {
		if p.Error != "" {
			fmt.Fprintf(errOut, "pinstatus: partition %d: %s\n", p.Partition, p.Error)
		}
	}
	_, err := fmt.Fprintf(out, "\n%d %s.\n", len(owners), plural(len(owners), "projector"))
	return err
}

func number(n *uint64) string {
	if n == nil {
		return unknown
	}
	return strconv.FormatUint(*n, 10)
}

// waiting is how long the oldest event that the views lack has been waiting.
func (p *partitionStatus) waiting() string {
	switch {
	case p.LagSeconds == nil:
		return unknown
	case *p.LagSeconds == 0:
		return "-"
	}
	text := fmt.Sprintf("%.1fs", *p.LagSeconds)
	if *p.LagSeconds >= 60 {
		text = time.Duration(*p.LagSeconds * float64(time.Second)).Round(time.Second).String()
	}
	if p.LagAtMost {
		text = "<" + text
	}
	return text
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}
