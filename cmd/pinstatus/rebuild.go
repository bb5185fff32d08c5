package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector/audit"
	"github.com/pinstatus/pinstatus/projector/rebuild"
	"github.com/pinstatus/pinstatus/projector/snapshot"
)

// rebuildOptions are the flags of rebuild.
type rebuildOptions struct {
	options

	views  int // partitions of the new generation
	grace  time.Duration
	abort  bool
	accept bool
	json   bool
}

func newRebuild() *cobra.Command {
	o := &rebuildOptions{}
	cmd := &cobra.Command{
		Use: "rebuild", Short: "Make the views anew while the old ones serve, and change over to them", Args: cobra.NoArgs,
		Long: `Make the views anew from the stream's start, in a new generation beside the serving one,
compare the two, and change over. Questions are answered all the while, and no answer steps
back. It is the way to another number of partitions, to views of one policy after a changed
one, and out of views that are damaged or of another stream.

It can be interrupted at any time, and goes on where it was when it is run again; --abort
gives it up and drops what it made. Only while the last events are brought over, for a moment,
an interruption waits.

If partitions, policy and codec stay as they are, the new views must be equal to the old
ones: if they differ, the old ones go on to serve and the exit status is 1, unless
--accept-differences is given. Views that cannot be read at all do not count.

After a change of the number of partitions the stream gets it too, by
"pinstatus streams apply --partitions N --force"; until then projectors read every event.

The exit status is 0 if the new views serve and the old ones are gone, or after --abort the new
ones; else 1.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	o.operator(f)
	o.configured(f, "required")
	o.restoring(f)
	f.IntVar(&o.views, "partitions", 0, "`number` of partitions of the new generation (default: as many as the stream's)")
	f.DurationVar(&o.grace, "grace", time.Minute, "`time` after the change before the old views are dropped")
	f.BoolVar(&o.abort, "abort", false, "give up a rebuild that has not changed over yet")
	f.BoolVar(&o.accept, "accept-differences", false, "change over although views differ that should not")
	f.BoolVar(&o.json, "json", false, "print JSON: a line for each step and each view that differs, then the summary")
	return cmd
}

func (o *rebuildOptions) run(cmd *cobra.Command) error {
	policy, err := o.policy()
	if err != nil {
		return err
	}
	b, err := o.backend(cmd.Context())
	if err != nil {
		return err
	}
	defer b.close()
	log, err := (&options{logLevel: "warn", logFormat: formatConsole}).logger(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	reg := prometheus.NewRegistry()
	letters, err := consumer.NewDeadLetters(consumer.DeadLetterOptions{JetStream: b.jetStream, Log: log, Registerer: reg})
	if err != nil {
		return err
	}
	r := rebuild.Options{
		JetStream: b.jetStream, Store: b.views, DeadLetters: letters, Notifier: b.jetStream.Conn(), Policy: policy, Log: log,
		Owner: "rebuild-" + ownerID(), Partitions: o.views, Grace: o.grace, AcceptDifferences: o.accept,
	}
	if o.snapshots != "" {
		r.Snapshots = snapshot.NewDir(o.snapshots, log)
	}
	progress := newLive(cmd.ErrOrStderr())
	defer progress.done()
	if o.json {
		tellRebuildJSON(json.NewEncoder(cmd.OutOrStdout()), &r)
	} else {
		tellRebuild(cmd.OutOrStdout(), progress, &r)
	}
	do := rebuild.Run
	if o.abort {
		do = rebuild.Abort
	}
	sum, err := do(cmd.Context(), r)
	progress.done()
	return o.conclude(cmd, sum, err)
}

// tellRebuild prints what is going to be done, and how far it has come, for people.
func tellRebuild(out io.Writer, progress *live, r *rebuild.Options) {
	r.Plan = func(p *rebuild.Plan) { writePlan(out, p) }
	r.Step = func(s rebuild.Step, text string) {
		progress.done()
		fmt.Fprintf(out, "%s  %-8s %s\n", time.Now().UTC().Format(time.TimeOnly), s, text)
	}
	r.Differ = func(d *audit.Difference) {
		progress.done()
		fmt.Fprint(out, d)
	}
	r.Progress = func(p rebuild.Progress) {
		if p.Step == rebuild.StepCompare {
			progress.show("%d views compared", p.Views)
			return
		}
		left := "unknown"
		if p.Left > 0 {
			left = p.Left.Round(time.Second).String()
		}
		progress.show("%s: %d of %d, %.0f events/s, left: %s", p.Step, p.At, p.To, p.PerSecond, left)
	}
}

func writePlan(out io.Writer, p *rebuild.Plan) {
	switch p.Action {
	case rebuild.ActionBegin, rebuild.ActionResume:
		verb := "make"
		if p.Action == rebuild.ActionResume {
			verb = "go on making"
		}
		fmt.Fprintf(out, "%s generation %d of %d partitions from the stream (events %d to %d), beside generation %d of %d partitions, which serves;\n"+
			"compare them, change over, and drop generation %d\n",
			verb, p.New.Number, p.New.Partitions, p.Stream.First, p.Stream.Last, p.Old.Number, p.Old.Partitions, p.Old.Number)
	case rebuild.ActionFinish:
		fmt.Fprintf(out, "finish what was interrupted: generation %d serves, drop generation %d\n", p.Old.Number, p.New.Number)
	case rebuild.ActionAbort:
		fmt.Fprintf(out, "give up generation %d: drop what there is of it; generation %d serves on\n", p.New.Number, p.Old.Number)
	}
	for _, n := range p.Notes {
		fmt.Fprintln(out, "  "+n)
	}
}

// tellRebuildJSON prints the same for machines, one object a line.
func tellRebuildJSON(out *json.Encoder, r *rebuild.Options) {
	r.Plan = func(p *rebuild.Plan) { _ = out.Encode(map[string]any{"plan": p}) }
	r.Step = func(s rebuild.Step, text string) { _ = out.Encode(map[string]any{"step": s, "text": text}) }
	r.Differ = func(d *audit.Difference) { _ = out.Encode(map[string]any{"difference": d}) }
}

func (o *rebuildOptions) conclude(cmd *cobra.Command, sum *rebuild.Summary, err error) error {
	if err == nil && !o.abort && sum.Plan.Action == rebuild.ActionFinish {
		err = errors.New("what was interrupted is finished, and nothing else has been done: run this again for a new rebuild")
	}
	if o.json {
		result := map[string]any{"summary": sum, "ok": err == nil}
		if err != nil {
			result["error"] = err.Error()
		}
		if e := json.NewEncoder(cmd.OutOrStdout()).Encode(result); e != nil {
			return e
		}
		if err != nil {
			return exitCode(1)
		}
		return nil
	}
	switch {
	case errors.Is(err, rebuild.ErrDiffer):
		return fmt.Errorf("%w: generation %d serves on. Look at them, then run this again with --accept-differences, or with --abort", err, sum.Plan.Old.Number)
	case sum != nil && stopped(cmd.Context(), err):
		return errors.New(`interrupted: "pinstatus rebuild" goes on from here, "pinstatus rebuild --abort" gives it up`)
	case err != nil:
		return err
	}
	writeSummary(cmd.OutOrStdout(), sum)
	return nil
}

func writeSummary(out io.Writer, s *rebuild.Summary) {
	if c := s.Compared; c != nil {
		fmt.Fprintf(out, "%d views compared, %d differ", c.Views, c.Differences)
		if s.Unreadable > 0 {
			fmt.Fprintf(out, ", %d of these could not be read", s.Unreadable)
		}
		fmt.Fprintln(out)
		for _, u := range c.Untold {
			fmt.Fprintf(out, "not compared: partition %d: %s\n", u.Partition, u.Reason)
		}
	}
	if s.Position > 0 {
		fmt.Fprintf(out, "changed over at %d; the old views had stood still for %s; projectors have taken %d of %d partitions\n",
			s.Position, s.Still.Round(time.Millisecond), s.Owned, s.Plan.New.Partitions)
	}
	if s.ApplyPartitions > 0 {
		fmt.Fprintf(out, "now give the stream %d partitions too: pinstatus streams apply --partitions %d --force\n"+
			"(until then projectors read every event, and throw away what is not theirs)\n", s.ApplyPartitions, s.ApplyPartitions)
	}
	fmt.Fprintf(out, "done in %s\n", s.Took.Round(time.Millisecond))
}
