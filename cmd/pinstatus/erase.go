package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/pinstatus/pinstatus/consumer/erase"
	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/consumer/processed"
	"github.com/pinstatus/pinstatus/projector/patience"
	"github.com/pinstatus/pinstatus/projector/snapshot"
	"github.com/pinstatus/pinstatus/projector/view"
)

// eraseOptions are the flags of erase.
type eraseOptions struct {
	options

	tenant string
	wait   time.Duration
	yes    bool
	json   bool
}

func newErase() *cobra.Command {
	cmd := group(&cobra.Command{
		Use: "erase", Short: "Erase a PIN code or an account from views, events and dead letters",
	})
	cmd.AddCommand(
		newEraseKind(erase.Code, "Erase PIN codes"),
		newEraseKind(erase.Account, "Erase accounts"),
	)
	return cmd
}

func newEraseKind(kind erase.Kind, short string) *cobra.Command {
	o := &eraseOptions{}
	cmd := &cobra.Command{
		Use: kind.String() + " ID...", Short: short, Args: cobra.MinimumNArgs(1),
		Long: short + `: publish the event that erases each from the views, wait until that has been processed,
then delete its events from the event stream, all that were published before, and its dead
letters, and write over them on the broker's disks. The erasing event stays: it keeps what
comes late without effect. With - for the ids they are read from standard input, one on each
line.

Events that name an account and belong to a PIN code stay: erase the code. What backups hold
stays in them; snapshots of the views in --snapshot-dir that still hold something are named.

At a terminal it asks before it erases more than one id that was given as an argument; --yes
has it go on.

An erasing event that the projector refuses, as one of a tenant that is not configured, becomes
a dead letter: configure the tenant until what it had is erased, these included.

It is safe to repeat, also after it was cut off at any point: it then erases what has been
published by then. Without --redis-url it learns of the projector's progress from change
notices, which is how it works with "pinstatus serve".

The exit status is 0 if everything was done, else 1.`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, kind, args) },
	}
	f := cmd.Flags()
	o.nats(f, "default "+nats.DefaultURL)
	o.redis(f, "default: from change notices")
	f.StringVar(&o.tenant, "tenant", "", "`tenant` whose ids they are (required)")
	f.StringVar(&o.snapshots, "snapshot-dir", "", "`folder` of snapshots to look into")
	f.DurationVar(&o.wait, "wait", 5*time.Minute, "how long to wait for the projector")
	f.BoolVar(&o.yes, "yes", false, "do not ask")
	f.BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

// So many ids are erased at a time: they share the search through the dead letters.
const eraseAtATime = 500

func (o *eraseOptions) run(cmd *cobra.Command, kind erase.Kind, ids []string) error {
	if o.tenant == "" {
		return errors.New("--tenant is required")
	}
	if slices.Contains(ids, "") {
		return errors.New("an ID is empty")
	}
	if len(ids) > 1 && slices.Contains(ids, fromInput) {
		return errors.New("- stands for the ids of standard input, and alone")
	}
	if err := o.snapshotsThere(); err != nil {
		return err
	}
	t, err := o.tool(cmd.Context())
	if err != nil {
		return err
	}
	defer t.close()
	if err := t.served(cmd.Context()); err != nil {
		return fmt.Errorf("nothing done: %w", err)
	}
	if len(ids) > 1 && !o.yes && atTerminal(cmd) {
		fmt.Fprintf(cmd.ErrOrStderr(), "erase %d %s of tenant %s for good: %s\n", len(ids), plural(len(ids), kind.String()), o.tenant, someOf(ids))
		if err := confirm(cmd, false); err != nil {
			return err
		}
	}
	log, err := (&options{logLevel: "warn", logFormat: formatConsole}).logger(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	erasing := &erasing{options: o, tool: t, out: cmd.OutOrStdout(), errOut: cmd.ErrOrStderr(), progress: newLive(cmd.ErrOrStderr())}
	defer erasing.progress.done()
	erasing.patience = &patience.Patience{Log: log, Tell: erasing.tellWait}
	erasing.eraser, err = erase.New(erase.Options{
		JetStream: t.jetStream, Positions: t.positions, Snapshots: o.shelf(), Wait: o.wait, Try: erasing.patience.Do,
	})
	if err != nil {
		return err
	}
	batch := make([]erase.Key, 0, eraseAtATime)
	flush := func() error {
		defer func() { batch = batch[:0] }()
		return erasing.erase(cmd.Context(), batch)
	}
	err = eachID(ids, cmd.InOrStdin(), func(id string) error {
		batch = append(batch, erase.Key{Kind: kind, Tenant: o.tenant, ID: id})
		if len(batch) < eraseAtATime {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

// served refuses views that no projector has made, as under a prefix that is misspelt: who waits
// for them waits in vain.
func (t *tool) served(ctx context.Context) error {
	if t.views == nil {
		return nil
	}
	serving, err := t.views.Serving(ctx)
	if err == nil && serving == (view.Serving{}) {
		err = errors.New("no generation serves: no projector has run with this --redis-url and --redis-prefix yet")
	}
	return err
}

// someOf are the first of the ids, for somebody to see what they are.
func someOf(ids []string) string {
	const enough = 10
	text := printable(strings.Join(ids[:min(len(ids), enough)], ", "))
	if more := len(ids) - enough; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// fromInput in the place of ids has them read from standard input.
const fromInput = "-"

// eachID calls visit with the ids that are given, or with those of the lines of in.
func eachID(args []string, in io.Reader, visit func(string) error) error {
	if args[0] != fromInput {
		for _, id := range args {
			if err := visit(id); err != nil {
				return err
			}
		}
		return nil
	}
	lines, found := bufio.NewScanner(in), false
	for lines.Scan() {
		id := strings.TrimSuffix(lines.Text(), "\r")
		if id == "" {
			continue
		}
		found = true
		if err := visit(id); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	if !found { // whoever made the list has failed, perhaps
		return errors.New("standard input: no ids")
	}
	return nil
}

// erasing is a run of the command.
type erasing struct {
	options     *eraseOptions
	tool        *tool
	eraser      *erase.Eraser
	out, errOut io.Writer
	progress    *live
	patience    *patience.Patience
}

func (e *erasing) erase(ctx context.Context, keys []erase.Key) error {
	if len(keys) == 0 {
		return nil
	}
	wait := ""
	if e.options.wait > 0 {
		wait = fmt.Sprintf(" (for which it waits up to %v)", e.options.wait)
	}
	fmt.Fprintf(e.errOut, "erasing %d %s of tenant %s: views%s, events and dead letters\n",
		len(keys), plural(len(keys), keys[0].Kind.String()), e.options.tenant, wait)
	results, err := e.eraser.Erase(ctx, keys, e.tell)
	e.progress.done()
	var lookErr error
	for i := range results {
		var others []uint64
		if lookErr == nil { // else it would fail again
			others, lookErr = e.otherViews(ctx, &results[i])
		}
		err = errors.Join(err, e.print(&results[i], others))
	}
	err = errors.Join(err, lookErr)
	var wrong *event.Error
	var refused *erase.LetterError
	switch {
	case err == nil || errors.As(err, &wrong):
		return err
	case errors.As(err, &refused) && refused.Reason == event.ReasonUnknownTenant:
		return fmt.Errorf("%w: configure the tenant, and run the command again", err)
	case errors.As(err, &refused):
		return err
	}
	return fmt.Errorf("%w: run the command again", explainWait(err, e.options.wait))
}

// explainWait says of a wait that --wait has ended where to look, instead of how it ended.
func explainWait(err error, wait time.Duration) error {
	var late *processed.Error
	if !errors.As(err, &late) || !errors.Is(late.Err, context.DeadlineExceeded) {
		return err
	}
	stand := fmt.Sprintf("the views stand at %d", late.Position)
	if late.Position == 0 {
		stand = "it is not known where the views stand"
	}
	var parts interface{ Unwrap() []error }
	if errors.As(late.Err, &parts) {
		for _, part := range parts.Unwrap() {
			if !errors.Is(part, context.DeadlineExceeded) { // what the last look said
				stand += fmt.Sprintf(" (%v)", part)
			}
		}
	}
	return fmt.Errorf("event %d was not processed within --wait (%v), %s: see \"pinstatus partitions\" and the projector's log", late.Sequence, wait, stand)
}

// tell tells how far it is.
func (e *erasing) tell(p erase.Progress) {
	switch p.Step {
	case erase.Waiting:
		if p.Position > 0 {
			e.progress.show("waiting for event %d: the views stand at %d", p.Sequence, p.Position)
		} else {
			e.progress.show("waiting for event %d: it is not known where the views stand", p.Sequence)
		}
	case erase.Searching:
		e.progress.say("erased from the views; looking for events and dead letters")
	case erase.Deleting:
		e.progress.show("deleted %d of %d events and dead letters", p.Done, p.Of)
	}
}

// tellWait tells why is being waited.
func (e *erasing) tellWait(why error) {
	if why != nil {
		e.progress.show("waiting: %v", why)
	}
}

// otherViews names generations beside the serving one that hold a view of the key. While the
// store is away it waits.
func (e *erasing) otherViews(ctx context.Context, r *erase.Result) (found []uint64, err error) {
	if e.tool.views == nil {
		return nil, nil
	}
	err = e.patience.Do(ctx, func() (err error) {
		found, err = e.lookAtOthers(ctx, r)
		return err
	})
	return found, err
}

func (e *erasing) lookAtOthers(ctx context.Context, r *erase.Result) ([]uint64, error) {
	serving, err := e.tool.views.Serving(ctx)
	if err != nil {
		return nil, err
	}
	var found []uint64
	for _, g := range []view.Generation{serving.Previous, serving.Next} {
		if g == (view.Generation{}) {
			continue
		}
		k := viewKey(r.Key)
		pos, values, err := e.tool.views.Load(ctx, g, k.Partition(g.Partitions), []view.Key{k})
		if err != nil {
			return nil, err
		}
		if values[0] != nil && pos.Sequence < r.Sequence {
			found = append(found, g.Number)
		}
	}
	return found, nil
}

// shelf is a folder of snapshots.
type shelf string

// shelf is that of the flag, nil without it.
func (o *eraseOptions) shelf() erase.Snapshots {
	if o.snapshots == "" {
		return nil
	}
	return shelf(o.snapshots)
}

// Holding names the snapshots that were taken before the erasing events, and hold views of the
// keys. It opens each once.
func (s shelf) Holding(ctx context.Context, of []erase.Result) ([][]string, error) {
	entries, err := os.ReadDir(string(s))
	if err != nil {
		return nil, fmt.Errorf("--snapshot-dir: %w", err)
	}
	names := make([][]string, len(of))
	var faults []error
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), snapshot.Extension) || entry.IsDir() {
			continue
		}
		if err := ctx.Err(); err != nil {
			return names, errors.Join(append(faults, err)...)
		}
		holding, err := held(ctx, filepath.Join(string(s), entry.Name()), of)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		for i := range of {
			if holding[viewKey(of[i].Key)] {
				names[i] = append(names[i], entry.Name())
			}
		}
	}
	return names, errors.Join(faults...)
}

// held are the keys of which a snapshot, taken before their erasing events, holds something.
func held(ctx context.Context, path string, of []erase.Result) (map[view.Key]bool, error) {
	f, err := snapshot.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	partitions := len(f.Info().Partitions)
	var keys []view.Key
	for i := range of {
		if k := viewKey(of[i].Key); f.Position(k.Partition(partitions)).Sequence < of[i].Sequence {
			keys = append(keys, k)
		}
	}
	return f.Holding(ctx, keys)
}

func viewKey(k erase.Key) view.Key {
	kind := view.KindPIN
	if k.Kind == erase.Account {
		kind = view.KindAccount
	}
	return view.Key{Kind: kind, Tenant: k.Tenant, ID: k.ID}
}

// erasedJSON is what was done for an id, as it is printed in JSON.
type erasedJSON struct {
	Kind        string   `json:"kind"`
	Tenant      string   `json:"tenant"`
	ID          string   `json:"id"`
	Sequence    uint64   `json:"sequence"` // of the erasing event
	Events      uint64   `json:"events"`
	DeadLetters uint64   `json:"deadLetters"`
	Snapshots   []string `json:"snapshots,omitempty"`   // that still hold it
	Generations []uint64 `json:"generations,omitempty"` // of views beside the serving one that still hold it
}

func (e *erasing) print(r *erase.Result, generations []uint64) error {
	if e.options.json {
		return json.NewEncoder(e.out).Encode(erasedJSON{
			Kind: r.Kind.String(), Tenant: r.Tenant, ID: r.ID, Sequence: r.Sequence,
			Events: r.Events, DeadLetters: r.Letters, Snapshots: r.Snapshots, Generations: generations,
		})
	}
	text := fmt.Sprintf("%s %s: erased from the views by event %d; %d %s and %d dead %s deleted\n", r.Kind, printable(r.ID), r.Sequence,
		r.Events, plural(int(r.Events), "event"), r.Letters, plural(int(r.Letters), "letter")) //nolint:gosec // messages of one key
	if r.Events == 0 && r.Letters == 0 {
		text += "  the streams held nothing of it: is this the id?\n"
	}
	for _, name := range r.Snapshots {
		text += fmt.Sprintf("  snapshot %s holds it\n", printable(name))
	}
	for _, g := range generations {
		text += fmt.Sprintf("  views of generation %d, which does not serve, hold it for now\n", g)
	}
	_, err := io.WriteString(e.out, text)
	return err
}
