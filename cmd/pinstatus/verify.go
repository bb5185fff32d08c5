package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/pinstatus/pinstatus/cmd/pinstatus/config"
	"github.com/pinstatus/pinstatus/projector/audit"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/snapshot"
)

// The exit statuses of verify.
const (
	exitDifferent  = 1
	exitCannotTell = 2
)

// leastMemory of --memory: with less, each pass would hold a few views, and there would be as
// many passes, each of which reads the whole stream.
const leastMemory size = 1 << 20

// verifyOptions are the flags of verify.
type verifyOptions struct {
	options

	memory size
	most   int // differences that are printed
	json   bool
}

func newVerify() *cobra.Command {
	o := &verifyOptions{memory: audit.DefaultMemory}
	cmd := &cobra.Command{
		Use: "verify", Short: "Fold the stream again and compare the views with what comes of it", Args: cobra.NoArgs,
		Annotations: map[string]string{failsWith: strconv.Itoa(exitCannotTell)},
		Long: `Fold the event stream again, in memory, and compare every view and every lock key in Redis
with what comes of it, byte for byte, while the system runs. It changes nothing. Of a view that
differs, a line with - is what the stream says, and one with + what is stored. Events behind the
sequence that it names at the end may not be in what was compared.

What does not fit into --memory is folded in several passes, each of which reads the stream.
The policy is that of --config: it has to be the projectors'. Views that were folded under
an earlier policy may differ for that reason alone, which is said where it may be.

NATS and Redis may be away meanwhile, and slots of a Redis Cluster be moved, for up to ten
minutes: it waits, and goes on.

A stream that does not hold its whole history can only be compared from a snapshot on
(--snapshot-dir).

The exit status is 0 if all views are equal, 1 if any differs, and 2 if it could not be told,
also of a part of them: views that are being filled, that a rebuild is taking over, that are of
another stream.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	o.operator(f)
	o.configured(f, "required")
	o.restoring(f)
	f.Var(&o.memory, "memory", "`size` of the views that are held at a time, 1MiB at least; eight bytes more are kept of each")
	f.IntVar(&o.most, "max-differences", 100, "`number` of views that differ to print; all are counted")
	f.BoolVar(&o.json, "json", false, "print JSON: a line for each view that differs, then the summary")
	return cmd
}

func (o *verifyOptions) run(cmd *cobra.Command) error {
	report, err := o.audit(cmd)
	if err != nil {
		if o.json {
			_ = json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]string{"error": err.Error()})
		} else {
			fmt.Fprint(cmd.ErrOrStderr(), tell(err))
		}
		return exitCode(exitCannotTell)
	}
	if o.json {
		err = json.NewEncoder(cmd.OutOrStdout()).Encode(report)
	} else {
		err = writeReport(cmd.OutOrStdout(), report, o.most)
	}
	switch {
	case err != nil:
		return exitCode(exitCannotTell)
	case report.Differences > 0:
		return exitCode(exitDifferent)
	case len(report.Untold) > 0:
		return exitCode(exitCannotTell)
	}
	return nil
}

func (o *verifyOptions) audit(cmd *cobra.Command) (*audit.Report, error) {
	if o.memory < leastMemory {
		return nil, fmt.Errorf("--memory: %s is less than %s", &o.memory, new(leastMemory))
	}
	if o.most < 0 {
		return nil, fmt.Errorf("--max-differences: %d is less than 0", o.most)
	}
	if err := o.snapshotsThere(); err != nil {
		return nil, err
	}
	policy, err := o.policy()
	if err != nil {
		return nil, err
	}
	log, err := (&options{logLevel: "warn", logFormat: formatConsole}).logger(cmd.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	b, err := o.backend(cmd.Context())
	if err != nil {
		return nil, err
	}
	defer b.close()
	a := audit.Options{
		JetStream: b.jetStream, Store: b.views, Policy: policy, Log: log, Memory: int64(o.memory),
	}
	if o.snapshots != "" {
		a.Snapshots = snapshot.NewDir(o.snapshots, log)
	}
	told := 0
	progress := newLive(cmd.ErrOrStderr())
	defer progress.done()
	if !o.json {
		progress.say("folding the stream again, and comparing the views in Redis with it; nothing is changed")
		a.Progress = func(p audit.Progress) {
			if p.Waiting != nil {
				progress.show("pass %d of %d: waiting: %v", p.Pass, p.Passes, p.Waiting)
				return
			}
			progress.show("pass %d of %d: folded %d of %d, %d views compared", p.Pass, p.Passes, p.Folded, p.To, p.Views)
		}
	}
	var failed error
	a.Differ = func(d *audit.Difference) {
		if told++; told > o.most || failed != nil {
			return
		}
		if o.json {
			failed = json.NewEncoder(cmd.OutOrStdout()).Encode(d)
			return
		}
		progress.done()
		_, failed = fmt.Fprint(cmd.OutOrStdout(), d)
	}
	report, err := audit.Run(cmd.Context(), a)
	return report, errors.Join(err, failed)
}

// policy is that of the configuration file.
func (o *options) policy() (*fold.Policy, error) {
	if o.config == "" {
		return nil, errors.New("--config (or " + variable("config") + ") is required: views are folded by its policy")
	}
	c, err := config.Load(o.config)
	if err != nil {
		return nil, err
	}
	return c.Policy(), nil
}

func writeReport(out io.Writer, r *audit.Report, most int) error {
	verdict := "all equal"
	switch {
	case r.Differences > 0:
		verdict = fmt.Sprintf("%d differ", r.Differences)
		if r.Differences > most && most > 0 {
			verdict += fmt.Sprintf(" (the first %d are above)", most)
		}
	case len(r.Untold) > 0:
		verdict = "those are equal"
	}
	from := "the stream"
	if r.Snapshot != "" {
		from = "snapshot " + r.Snapshot + " and the stream"
	}
	compared := "nothing could be compared"
	if r.Passes > 0 {
		compared = fmt.Sprintf("%d %s compared with %s up to sequence %d, in %d %s: %s",
			r.Views, plural(r.Views, "view"), from, r.Through, r.Passes, passes(r.Passes), verdict)
	}
	_, err := fmt.Fprintf(out, "generation %d, %d partitions: %s\n", r.Generation, r.Partitions, compared)
	for _, u := range r.Untold {
		fmt.Fprintf(out, "could not tell: partition %d: %s\n", u.Partition, u.Reason)
	}
	if len(r.Mixed) > 0 {
		fmt.Fprintf(out, "partitions %v differ, and may hold views that were folded under another policy: a rebuild makes them uniform\n", r.Mixed)
	}
	for _, n := range r.Notes {
		fmt.Fprintln(out, n)
	}
	return err
}

func passes(n int) string {
	if n == 1 {
		return "pass"
	}
	return "passes"
}

// stopped reports whether a command ended because it was told to.
func stopped(ctx context.Context, err error) bool {
	return ctx.Err() != nil && errors.Is(err, ctx.Err())
}
