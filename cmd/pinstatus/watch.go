package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/pinstatus/pinstatus/query/client"
)

// watchOptions are the flags of watch.
type watchOptions struct {
	asking

	json bool
}

func newWatch() *cobra.Command {
	cmd := group(&cobra.Command{
		Annotations: failsApart(),
		Use:         "watch", Short: "Follow a PIN code or an account, change by change",
		Long: `Follow, as applications can, what becomes of a PIN code, or the state of the PINs of an
account.`,
	})
	cmd.AddCommand(
		newWatchOf(pinKind(), "Follow what becomes of the messages and calls of a PIN code"),
		newWatchOf(accountKind(), "Follow the state of the PINs of an account, the ends of locks included"),
	)
	return cmd
}

// newWatchOf is a command that follows a view of a kind.
func newWatchOf[V any](k kind[V], short string) *cobra.Command {
	o := &watchOptions{}
	cmd := &cobra.Command{
		Use: k.name + " ID", Short: short, Args: cobra.ExactArgs(1),
		Annotations: failsApart(),
		Long: short + `: as it is now, as soon as
anything is known of it, and then a line for each change, with the time at which it was seen.

It goes on until it is interrupted. Where the connection is cut, or the service restarts, it
connects again, says so on standard error, and misses nothing that still holds.

With --json each line is the view as it is then, as the service answers it; where there is none
any more, an object with the id and "gone": true.
` + askingHelp + `

The exit status is 0 if it was interrupted, and 2 if it cannot go on.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.client(cmd)
			if err != nil {
				return err
			}
			defer c.CloseIdleConnections()
			p := newWatchPrinter(cmd.OutOrStdout(), k, args[0], o.json)
			for u, err := range k.watch(cmd.Context(), c, args[0], client.MinSequence(o.sequence)) {
				switch {
				case stopped(cmd.Context(), err):
					return nil
				case err != nil:
					return o.explain(err)
				}
				if err := p.print(&u, time.Now()); err != nil {
					return err
				}
			}
			return nil
		},
	}
	f := cmd.Flags()
	o.flags(f)
	o.sequenceFlag(f)
	f.BoolVar(&o.json, "json", false, "print JSON, a line for each change")
	return cmd
}

// watchPrinter prints what a watch yields.
type watchPrinter[V any] struct {
	kind  kind[V]
	id    string
	out   io.Writer
	lines *columns // nil for JSON
	last  *V       // the view printed last; empty before, and after it is gone
}

func newWatchPrinter[V any](out io.Writer, k kind[V], id string, asJSON bool) *watchPrinter[V] {
	p := &watchPrinter[V]{kind: k, id: id, out: out, last: new(V)}
	if !asJSON {
		p.lines = newColumns(out)
		p.lines.fit(k.widest)
	}
	return p
}

func (p *watchPrinter[V]) print(u *client.Update[V], at time.Time) error {
	before, now := p.last, u.View
	if u.Gone {
		now = new(V)
	}
	p.last = now
	switch {
	case p.lines == nil && u.Gone:
		return newLines(p.out).Encode(p.kind.gone(p.id))
	case p.lines == nil:
		return newLines(p.out).Encode(now)
	}
	when := cell{text: at.UTC().Format(instantLayout)}
	if u.Gone {
		return p.lines.write([]cell{when, {"gone", red}})
	}
	var rows [][]cell
	for _, change := range p.kind.changes(before, now) {
		rows = append(rows, append([]cell{when}, change...))
	}
	if err := p.lines.writeAll(rows); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	return nil
}
