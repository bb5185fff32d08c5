package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/pinstatus/pinstatus/consumer/letters"
)

func newDeadLetters() *cobra.Command {
	cmd := group(&cobra.Command{
		Use: "deadletters", Short: "List, show, replay or drop dead letters",
		Long: `Dead letters are the events that could not be taken, as they were published, and why. A dead
letter is known by the sequence that its event has in the event stream; logs and metrics of
the projector name the same reasons.`,
	})
	cmd.AddCommand(newListLetters(), newShowLetter(), newReplayLetters(), newDropLetters())
	return cmd
}

func newListLetters() *cobra.Command {
	o, lf := &options{}, &letterFilter{}
	var limit uint64
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List dead letters, oldest first", Args: cobra.NoArgs,
		Long: `List dead letters, oldest first, and count them by reason. Keys are shown as they are:
mind who reads along.

With --json each letter is an object on a line of its own.

The exit status is 1 if there is no such reason or family, or no dead letter of a sequence
that was named.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := lf.filter(nil, time.Now())
			if err != nil {
				return err
			}
			return o.withLetters(cmd.Context(), func(ctx context.Context, r *letters.Reader, through uint64) error {
				if err := known(ctx, r, f, through); err != nil {
					return err
				}
				list := newLetterList(cmd.OutOrStdout(), cmd.ErrOrStderr(), f, asJSON, limit)
				if err := r.Each(ctx, f, through, list.add); err != nil {
					return errors.Join(err, list.flush())
				}
				if err := list.end(); err != nil {
					return err
				}
				return list.missed(cmd.ErrOrStderr())
			})
		},
	}
	o.nats(cmd.Flags(), "default "+nats.DefaultURL)
	lf.flags(cmd.Flags())
	cmd.Flags().Uint64Var(&limit, "limit", 100, "list so many at most, and count the others; 0 lists all")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newShowLetter() *cobra.Command {
	o := &options{}
	var asJSON, payload bool
	cmd := &cobra.Command{
		Use: "show SEQUENCE", Short: "Show a dead letter with the event's headers and payload", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := (&letterFilter{}).filter(args, time.Now())
			if err != nil {
				return err
			}
			return o.withLetters(cmd.Context(), func(ctx context.Context, r *letters.Reader, through uint64) error {
				found := 0
				err := r.Each(ctx, f, through, func(l *letters.Letter) error {
					found++
					switch out := cmd.OutOrStdout(); {
					case payload:
						_, err := out.Write(l.Payload)
						return err
					case asJSON:
						return showJSON(out, l)
					default:
						return showText(out, l)
					}
				})
				if err == nil && found == 0 {
					err = fmt.Errorf("there is no dead letter of event %s", args[0])
				}
				return err
			})
		},
	}
	o.nats(cmd.Flags(), "default "+nats.DefaultURL)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&payload, "payload", false, "print the payload alone, byte for byte")
	cmd.MarkFlagsMutuallyExclusive("json", "payload")
	return cmd
}

// withLetters connects and calls do with the dead letters, up to the newest one of now.
func (o *options) withLetters(ctx context.Context, do func(context.Context, *letters.Reader, uint64) error) error {
	js, disconnect, err := o.jetStream()
	if err != nil {
		return err
	}
	defer disconnect()
	r := letters.NewReader(js)
	through, err := r.Last(ctx)
	if err != nil {
		return err
	}
	return do(ctx, r, through)
}

func newReplayLetters() *cobra.Command {
	o, lf, ro := &options{}, &letterFilter{}, &letters.ReplayOptions{}
	var asJSON bool
	cmd := &cobra.Command{
		Use: "replay [SEQUENCE...]", Short: "Publish the events of dead letters again, and tell what becomes of them",
		Long: `Publish the events of dead letters again, once the cause has gone: the same bytes on the same
subject, with the same headers but for those that NATS would obey (Nats-*). The new event says
in Pinstatus-Replay-Of which one it stands for.

The command waits until the projector has processed the events, and tells what became of each:

  accepted   it is in the views, or was there already; the dead letter is deleted
  returned   it is a dead letter again, with a new sequence, which takes the old one's place
  replaced   an earlier run published it, and it came back as another of the chosen letters,
             which is replayed instead; the dead letter is deleted
  pending    it is published, and was not processed within --wait
  refused    it cannot be published again as it was
  failed     an error of NATS

It is safe to repeat, also after it was cut off: an event that has been published for a letter
is found and not published again. Without --redis-url it learns of the projector's progress
from change notices, which is how it works with "pinstatus serve".

The exit status is 0 if every event was accepted, else 1; also if there is no dead letter of a
sequence that was named.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := lf.chosen(args, time.Now())
			if err != nil {
				return err
			}
			t, err := o.tool(cmd.Context())
			if err != nil {
				return err
			}
			defer t.close()
			if ro.Wait > 0 {
				if err := t.served(cmd.Context()); err != nil {
					return fmt.Errorf("nothing done: %w", err)
				}
			}
			ro.JetStream, ro.Positions = t.jetStream, t.positions
			return replay(cmd, f, *ro, asJSON)
		},
	}
	o.nats(cmd.Flags(), "default "+nats.DefaultURL)
	o.redis(cmd.Flags(), "default: from change notices")
	lf.flags(cmd.Flags())
	cmd.Flags().BoolVar(&lf.all, "all", false, "all dead letters")
	cmd.Flags().BoolVar(&ro.Keep, "keep", false, "delete no dead letter")
	cmd.Flags().BoolVar(&ro.Dry, "dry-run", false, "publish and delete nothing")
	cmd.Flags().DurationVar(&ro.Wait, "wait", time.Minute, "how long to wait for the projector, for each few events; 0 does not wait")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func replay(cmd *cobra.Command, f *letters.Filter, o letters.ReplayOptions, asJSON bool) error {
	r, err := letters.NewReplayer(o)
	if err != nil {
		return err
	}
	reader := letters.NewReader(o.JetStream)
	through, err := reader.Last(cmd.Context())
	if err != nil {
		return err
	}
	if err := known(cmd.Context(), reader, f, through); err != nil {
		return err
	}
	chosen := newLetterTally(f)
	if err := reader.Each(cmd.Context(), f, through, chosen.add); err != nil {
		return err
	}
	missed := chosen.missed(cmd.ErrOrStderr())
	verb := map[bool]string{true: "would replay ", false: "replaying "}[o.Dry]
	fmt.Fprintln(cmd.ErrOrStderr(), verb+chosen.counts.String())
	results := newReplayPrinter(cmd.OutOrStdout(), o.Wait, asJSON)
	if err := r.Replay(cmd.Context(), f, through, results.add); err != nil {
		return err
	}
	if err := results.end(); err != nil {
		return err
	}
	return missed
}

func newDropLetters() *cobra.Command {
	o, lf := &options{}, &letterFilter{}
	var yes, asJSON bool
	cmd := &cobra.Command{
		Use: "drop [SEQUENCE...]", Short: "Delete dead letters for good",
		Long: `Delete dead letters for good. The events stay in the event stream: when the views are filled
again from the stream, and the cause is still there, they become dead letters once more, for
as long as dead letters are kept.

It says how many there are and asks before it deletes; --yes is for scripts.

The exit status is 0 if all were deleted that are chosen, else 1; also if there is no dead
letter of a sequence that was named.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := lf.chosen(args, time.Now())
			if err != nil {
				return err
			}
			return o.withLetters(cmd.Context(), func(ctx context.Context, r *letters.Reader, through uint64) error {
				if err := known(ctx, r, f, through); err != nil {
					return err
				}
				chosen := newLetterTally(f)
				if err := r.Each(ctx, f, through, chosen.add); err != nil {
					return err
				}
				missed := chosen.missed(cmd.ErrOrStderr())
				if chosen.counts.total() > 0 {
					fmt.Fprintln(cmd.ErrOrStderr(), "dropping "+chosen.counts.String())
					if err := confirm(cmd, yes); err != nil {
						return err
					}
				}
				dropped, err := r.Drop(ctx, f, through)
				if err := errors.Join(err, printDropped(cmd.OutOrStdout(), dropped, asJSON)); err != nil {
					return err
				}
				return missed
			})
		},
	}
	o.nats(cmd.Flags(), "default "+nats.DefaultURL)
	lf.flags(cmd.Flags())
	cmd.Flags().BoolVar(&lf.all, "all", false, "all dead letters")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// confirm asks the user at a terminal. Elsewhere nobody can answer, and only yes will do.
func confirm(cmd *cobra.Command, yes bool) error {
	if yes {
		return nil
	}
	if !atTerminal(cmd) {
		return errors.New("nothing done: say --yes where nobody can be asked")
	}
	fmt.Fprint(cmd.ErrOrStderr(), "Go on? [y/N] ")
	answer, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if answer != "y\n" && answer != "yes\n" && answer != "Y\n" {
		return errors.New("nothing done")
	}
	return nil
}

// atTerminal reports whether somebody can be asked. What a timer starts has the null device for
// its input.
func atTerminal(cmd *cobra.Command) bool {
	f, ok := cmd.InOrStdin().(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
