package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/patience"
	"github.com/pinstatus/pinstatus/projector/snapshot"
	"github.com/pinstatus/pinstatus/projector/view"
)

func newSnapshot() *cobra.Command {
	cmd := group(&cobra.Command{
		Use: "snapshot", Short: "Save the views to a file, and restore them from one",
		Long: `Save the views to a file, and restore them from one.

Views that Redis has lost are made again from the event stream, as long as that holds every
event since its start. Once a limit or an operator has removed some, a snapshot is needed:
it has the views up to a place in the stream, and the stream has the rest. Projectors with
--snapshot-dir, and serve beside its own stream, restore by themselves.`,
	})
	cmd.AddCommand(newSnapshotSave(), newSnapshotRestore(), newSnapshotInfo())
	return cmd
}

// saveOptions are the flags of snapshot save.
type saveOptions struct {
	options

	keep int
	json bool
}

func newSnapshotSave() *cobra.Command {
	o := &saveOptions{}
	cmd := &cobra.Command{
		Use: "save FILE|FOLDER", Short: "Save the views to a file while everything goes on", Args: cobra.ExactArgs(1),
		Long: `Save all views of the serving generation, with the places in the event stream up to which
they are whole, to a new file, or in the place of one that is there. Nothing is changed in
Redis, and nothing has to stop. The file is whole or not there; until then its folder needs
room for twice its size. It holds personal data, and only its owner may read it. NATS and Redis
may be away meanwhile, for up to ten minutes.

Where a folder is given, which has to be there, the file is named by its time and ends in
` + snapshot.Extension + `, and all but the newest --keep of the files that were named so are removed.

Without --config the views of each partition have to stand still for a moment. With it they
need not: the last few events are folded here.

The exit status is 0 if the file was saved, else 1.`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args[0]) },
	}
	f := cmd.Flags()
	o.operator(f)
	o.configured(f, "default: none, which is enough for a system that is not always busy")
	f.IntVar(&o.keep, "keep", snapshot.DefaultKeep, "`number` of files to leave in a folder, this one among them")
	f.BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

func (o *saveOptions) run(cmd *cobra.Command, path string) error {
	if o.keep < 1 {
		return fmt.Errorf("--keep: %d is not 1 or more", o.keep)
	}
	log, err := (&options{logLevel: "warn", logFormat: formatConsole}).logger(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	source := snapshot.Source{Log: log, Wait: patience.Default}
	if o.config != "" {
		policy, err := o.policy()
		if err != nil {
			return err
		}
		source.Policy = func() *fold.Policy { return policy }
	}
	if err := folderThere(path); err != nil {
		return err
	}
	b, err := o.backend(cmd.Context())
	if err != nil {
		return err
	}
	defer b.close()
	source.Store, source.Events = b.views, snapshot.JetStream(b.jetStream)
	fmt.Fprintf(cmd.ErrOrStderr(), "saving all views to %s\n", printable(path))
	progress := newLive(cmd.ErrOrStderr())
	defer progress.done()
	source.Waiting = func(why error) {
		if why == nil {
			progress.done()
			return
		}
		progress.show("waiting: %v", why)
	}
	var info *snapshot.Info
	if isFolder(path) {
		info, err = snapshot.NewDir(path, log).Save(cmd.Context(), source, o.keep)
	} else {
		info, err = snapshot.Save(cmd.Context(), source, path)
	}
	progress.done()
	switch {
	case err != nil:
		return err
	case o.json:
		return json.NewEncoder(cmd.OutOrStdout()).Encode(info)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %d views of %d partitions, %d bytes\n", printable(info.Path), info.Views, len(info.Partitions), info.Size)
	return err
}

// folderThere refuses a path in a folder that is not there: one that was not mounted must not
// be made, and snapshots saved where nobody keeps them.
func folderThere(path string) error {
	folder := path
	if !isFolder(path) {
		folder = filepath.Dir(path)
	}
	info, err := os.Stat(folder)
	if err == nil && !info.IsDir() {
		err = syscall.ENOTDIR
	}
	if at := (*fs.PathError)(nil); errors.As(err, &at) {
		err = at.Err
	}
	if err != nil {
		return fmt.Errorf("folder %s: %w", printable(filepath.Clean(folder)), err)
	}
	return nil
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir() || strings.HasSuffix(path, string(filepath.Separator))
}

// restoreOptions are the flags of snapshot restore.
type restoreOptions struct {
	options

	replace bool
	json    bool
}

func newSnapshotRestore() *cobra.Command {
	o := &restoreOptions{}
	cmd := &cobra.Command{
		Use: "restore FILE|FOLDER", Short: "Bring views back that Redis has lost", Args: cobra.ExactArgs(1),
		Long: `Bring views back from a snapshot, or from the newest one of a folder that fits: those of all
partitions that have none. Projectors may run; they go on from there, with the events that
the stream holds behind the snapshot. Until they have caught up, which is not waited for,
questions about these partitions are answered with 503.

A partition whose views are being filled already is left to the projector that fills it, which
loses nothing of what it has done.

With --replace the views of all other partitions are given up first, and restored as well.

A snapshot is refused if it is of another stream or another number of partitions, if it is
damaged, if the stream no longer holds what comes behind it, or if messages that nothing
accounts for were deleted from the stream's middle since.

It is safe to repeat, also after an interruption: it then goes on where it was. The exit
status is 0 if all partitions have views that are as new as the snapshot's, else 1.`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args[0]) },
	}
	f := cmd.Flags()
	o.operator(f)
	f.BoolVar(&o.replace, "replace", false, "also give up views that are there, and restore them")
	f.BoolVar(&o.json, "json", false, "print JSON: what is going to be done, then a line for each partition")
	return cmd
}

func (o *restoreOptions) run(cmd *cobra.Command, path string) error {
	if err := folderThere(path); err != nil {
		return err
	}
	b, err := o.backend(cmd.Context())
	if err != nil {
		return err
	}
	defer b.close()
	stream, err := consumer.Describe(cmd.Context(), b.jetStream)
	if err != nil {
		return err
	}
	log, err := (&options{logLevel: "warn", logFormat: formatConsole}).logger(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	f, err := o.open(cmd.Context(), path, b, stream, log)
	if err != nil {
		return err
	}
	defer f.Close()
	plan, err := snapshot.PlanRestore(cmd.Context(), f, snapshot.RestoreOptions{Store: b.views, Stream: stream, Replace: o.replace, Log: log})
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if o.json {
		err = json.NewEncoder(out).Encode(plan)
	} else {
		err = writeRestorePlan(out, f.Info(), plan)
	}
	if err != nil {
		return err
	}
	var failed error
	err = plan.Run(cmd.Context(), func(p int, at view.Position) {
		if o.json {
			failed = errors.Join(failed, json.NewEncoder(out).Encode(snapshot.SectionInfo{Partition: p, Views: f.Info().Partitions[p].Views, Position: at}))
			return
		}
		text := fmt.Sprintf("partition %d: %d views, up to %d\n", p, f.Info().Partitions[p].Views, at.Sequence)
		if at.Refill > at.Sequence {
			text = fmt.Sprintf("partition %d: %d views, up to %d; projectors go on from there to %d\n", p, f.Info().Partitions[p].Views, at.Sequence, at.Refill)
		}
		_, written := io.WriteString(out, text)
		failed = errors.Join(failed, written)
	})
	if err != nil {
		err = fmt.Errorf("%w; run it again: until all partitions are restored, questions about the others are answered with 503", err)
	}
	if n := len(plan.Behind); n > 0 {
		err = errors.Join(err, fmt.Errorf("%d %s (%s) not restored: a projector fills the views from the stream, and they are whole once that is done "+
			"(see \"pinstatus partitions\"); --replace restores them, and all others; projectors with --snapshot-dir restore by themselves",
			n, plural(n, "partition"), ranges(plan.Behind)))
	}
	return errors.Join(err, failed)
}

// open opens the file, or the newest of a folder that fits the views.
func (o *restoreOptions) open(ctx context.Context, path string, b *backend, stream consumer.Stream, log *zap.Logger) (*snapshot.File, error) {
	if !isFolder(path) {
		return snapshot.Open(path)
	}
	serving, err := b.views.Serving(ctx)
	if err != nil {
		return nil, err
	}
	partitions := serving.Partitions
	if partitions == 0 {
		partitions = stream.Partitions
	}
	found, err := snapshot.NewDir(path, log).Find(ctx, stream, partitions)
	if err != nil {
		return nil, err
	}
	f, ok := found.(*snapshot.File)
	if !ok {
		return nil, fmt.Errorf("%s: no snapshot that fits the stream", printable(path))
	}
	return f, nil
}

func writeRestorePlan(out io.Writer, i *snapshot.Info, p *snapshot.Plan) error {
	text := fmt.Sprintf("restoring generation %d from %s of %s:\n", p.Generation.Number, printable(i.Path), i.Created.Format(time.RFC3339))
	for _, part := range []struct {
		partitions []int
		what       string
	}{
		{p.Restore, "without views: restored"},
		{p.Replace, "with views: given up and restored"},
		{p.Keep, "with views: left as they are"},
		{p.Filling, "being filled, and as far as the snapshot: left to that"},
		{p.Behind, "being filled, and not as far as the snapshot: left to that"},
	} {
		if len(part.partitions) > 0 {
			text += fmt.Sprintf("  %d %s (%s) %s\n", len(part.partitions), plural(len(part.partitions), "partition"), ranges(part.partitions), part.what)
		}
	}
	_, err := io.WriteString(out, text)
	return err
}

// ranges is a sorted list of numbers in short: 0-3, 7.
func ranges(numbers []int) string {
	var parts []string
	for i := 0; i < len(numbers); {
		j := i
		for j+1 < len(numbers) && numbers[j+1] == numbers[j]+1 {
			j++
		}
		part := strconv.Itoa(numbers[i])
		if j > i {
			part += "-" + strconv.Itoa(numbers[j])
		}
		parts = append(parts, part)
		i = j + 1
	}
	return strings.Join(parts, ", ")
}

func newSnapshotInfo() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "info FILE", Short: "Check that a snapshot is whole, and print what it is of", Args: cobra.ExactArgs(1),
		Long: `Read a whole snapshot, check all of it against its checksums, and print what it is of. It needs
no server.

The exit status is 0 if the snapshot is whole, else 1.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := snapshot.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(f.Info())
			}
			return writeSnapshotInfo(cmd.OutOrStdout(), f.Info())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func writeSnapshotInfo(out io.Writer, i *snapshot.Info) error {
	text := fmt.Sprintf(`file        %s
id          %s, format %d
size        %d bytes
saved       %s
stream      created %s
generation  %d, codec %d
views       %d
`, printable(i.Path), i.ID, i.Format, i.Size, i.Created.Format(time.RFC3339), i.Stream.Format(time.RFC3339Nano), i.Generation, i.Codec, i.Views)
	for _, p := range i.Partitions {
		text += fmt.Sprintf("  partition %-4d %9d views, up to sequence %d, policy %d\n", p.Partition, p.Views, p.Position.Sequence, p.Position.Policy)
	}
	_, err := io.WriteString(out, text)
	return err
}
