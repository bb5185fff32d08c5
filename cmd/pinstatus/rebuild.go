package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector/audit"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/rebuild"
	"github.com/pinstatus/pinstatus/projector/snapshot"
	"github.com/pinstatus/pinstatus/projector/view"
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

Where the stream does not hold its whole history, the new views begin with the newest snapshot of
--snapshot-dir that fits; without one it does not begin. What comes from it keeps the policy that
it was folded with, and snapshots of one number of partitions do not fit another.

It can be interrupted at any time, and goes on where it was when it is run again; --abort
gives it up and drops what it made, without --config. Only while the last events are brought
over, for a moment, an interruption waits. NATS and Redis may be away meanwhile: it says so,
waits for up to ten minutes, and goes on. Once the new views serve, only the old ones are left
to be dropped, after --grace: if that is interrupted, the next rebuild drops them, does no more,
and exits with 1.

If partitions, policy and codec stay as they are, the new views must be equal to the old
ones: if they differ, the old ones go on to serve and the exit status is 1, unless
--accept-differences is given. Views that cannot be read at all do not count.

Another number of partitions is asked for by --partitions; it is not taken from
PINSTATUS_PARTITIONS, nor from the stream. After the change the stream gets it too, by
"pinstatus streams apply --partitions N --force"; until then projectors read every event.

The exit status is 0 if the new views serve and the old ones are gone, or after --abort the new
ones; else 1.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	o.operator(f)
	o.configured(f, "required, but not for --abort")
	o.restoring(f)
	f.IntVar(&o.views, "partitions", 0, "`number` of partitions of the new generation (default: as many as now)")
	f.Lookup("partitions").Annotations = map[string][]string{lineOnly: {"true"}}
	f.DurationVar(&o.grace, "grace", time.Minute, "`time` after the change before the old views are dropped")
	f.BoolVar(&o.abort, "abort", false, "give up a rebuild that has not changed over yet")
	f.BoolVar(&o.accept, "accept-differences", false, "change over although views differ that should not")
	f.BoolVar(&o.json, "json", false, "print JSON: a line for each step and each view that differs, then the summary")
	return cmd
}

func (o *rebuildOptions) run(cmd *cobra.Command) error {
	if err := o.snapshotsThere(); err != nil {
		return err
	}
	var policy *fold.Policy
	var err error
	if !o.abort { // which folds nothing
		if policy, err = o.policy(); err != nil {
			return err
		}
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
	if r.Partitions == 0 && !o.abort {
		if r.Partitions, err = partitionsNow(cmd.Context(), b.views); err != nil {
			return err
		}
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

// partitionsNow is the number of partitions of a rebuild that asks for none: that of the views
// which serve, whatever the stream's may be, or what was begun with; 0 if there are no views.
func partitionsNow(ctx context.Context, views servedViews) (int, error) {
	serving, err := views.Serving(ctx)
	if serving.Next != (view.Generation{}) {
		return serving.Next.Partitions, err
	}
	return serving.Partitions, err
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
		if p.Waiting != nil {
			progress.show("%s: waiting: %v", p.Step, p.Waiting)
			return
		}
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

// conclude prints what came of it. Its error says what is left to do.
func (o *rebuildOptions) conclude(cmd *cobra.Command, sum *rebuild.Summary, err error) error {
	if sum != nil && sum.Changed && sum.Plan.Action != rebuild.ActionFinish && sum.Plan.New.Partitions != sum.Plan.Stream.Partitions {
		sum.ApplyPartitions = sum.Plan.New.Partitions // also where it was interrupted behind the change
	}
	ended := err == nil
	err = o.explain(cmd.Context(), sum, err)
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
	if ended || sum != nil && sum.Changed {
		writeSummary(cmd.OutOrStdout(), sum)
	}
	return err
}

// explain says of an end that is not the one that was asked for what to do now.
func (o *rebuildOptions) explain(ctx context.Context, sum *rebuild.Summary, err error) error {
	switch {
	case err == nil && !o.abort && sum.Plan.Action == rebuild.ActionFinish:
		return errors.New("what was interrupted is finished, and no views were made anew: if that is wanted, run this again")
	case errors.Is(err, rebuild.ErrDiffer):
		return fmt.Errorf("%w: generation %d serves on. Look at them, then run this again with --accept-differences, or with --abort", err, sum.Plan.Old.Number)
	case !stopped(ctx, err):
		return err
	case sum == nil:
		return errors.New("interrupted: nothing has been done")
	case sum.Changed:
		serving, gone := sum.Plan.New.Number, sum.Plan.Old.Number
		if sum.Plan.Action == rebuild.ActionFinish {
			serving, gone = gone, serving
		}
		return fmt.Errorf(`interrupted: generation %d serves, and generation %d is there still: "pinstatus rebuild" drops it, and does no more`, serving, gone)
	case o.abort || sum.Plan.Action == rebuild.ActionFinish:
		return errors.New(`interrupted: "pinstatus rebuild --abort" goes on from here`)
	}
	return errors.New(`interrupted: "pinstatus rebuild" goes on from here, "pinstatus rebuild --abort" gives it up`)
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
	if s.Dropped {
		fmt.Fprintf(out, "done in %s\n", s.Took.Round(time.Millisecond))
	}
}
