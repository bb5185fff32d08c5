package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/pinstatus/pinstatus/query/client"
)

// getOptions are the flags of get.
type getOptions struct {
	asking

	wait time.Duration
	json bool
}

func newGet() *cobra.Command {
	cmd := group(&cobra.Command{
		Annotations: failsApart(),
		Use:         "get", Short: "Ask the query service for PIN codes or accounts",
		Long: `Ask the query service, as applications do, what became of PIN codes, or for the state of the
PINs of accounts.`,
	})
	cmd.AddCommand(
		newGetOf(pinKind(), "Show what became of the messages and calls of PIN codes"),
		newGetOf(accountKind(), "Show the state of the PINs of accounts"),
	)
	return cmd
}

// newGetOf is a command that gets views of a kind, one or many.
func newGetOf[V any](k kind[V], short string) *cobra.Command {
	o := &getOptions{}
	cmd := &cobra.Command{
		Use: k.name + " ID...", Short: short, Args: cobra.MinimumNArgs(1),
		Annotations: failsApart(),
		Long: short + `. Several take one request for every 500.

With --json each view is an object on a line of its own, as the service answers it.
` + askingHelp + `

The exit status is 0 if all were found, 1 if any was not, which standard error names then, and
2 if it could not be told.`,
		RunE: func(cmd *cobra.Command, ids []string) error {
			c, err := o.client(cmd)
			if err != nil {
				return err
			}
			defer c.CloseIdleConnections()
			found, missing, err := find(cmd, k, c, o, ids)
			if err != nil {
				return o.explain(err)
			}
			if err := printViews(cmd.OutOrStdout(), k, found, o.json); err != nil {
				return err
			}
			for _, id := range missing {
				fmt.Fprintf(cmd.ErrOrStderr(), "pinstatus: %s %s: not found\n", k.noun, printable(id))
			}
			if len(missing) > 0 {
				return exitCode(1)
			}
			return nil
		},
	}
	f := cmd.Flags()
	o.flags(f)
	o.sequenceFlag(f)
	f.DurationVar(&o.wait, "wait", 0, "`time` to wait, 1s to 1m0s: until there is a view, or with --min-sequence for that event (5s unless given)")
	f.BoolVar(&o.json, "json", false, "print JSON, a line for each view")
	return cmd
}

// find gets the views of ids.
func find[V any](cmd *cobra.Command, k kind[V], c *client.Client, o *getOptions, ids []string) (found []V, missing []string, err error) {
	waits := cmd.Flags().Changed("wait")
	switch {
	case len(ids) > 1 && (waits || o.sequence > 0):
		return nil, nil, errors.New("--wait and --min-sequence take one ID")
	case len(ids) > 1:
		return k.list(cmd.Context(), c, ids)
	case waits && (o.wait < time.Second || o.wait > client.MaxWait):
		return nil, nil, fmt.Errorf("--wait: %s is not from 1s to %s", o.wait, client.MaxWait)
	}
	v, meta, err := k.get(cmd.Context(), c, ids[0], client.Wait(o.wait), client.MinSequence(o.sequence))
	switch {
	case errors.Is(err, client.ErrNotFound):
		return nil, ids, nil
	case err != nil:
		return nil, nil, err
	}
	if meta.Lag >= aged {
		fmt.Fprintf(cmd.ErrOrStderr(), "pinstatus: the answer is %s behind the event stream\n", meta.Lag.Round(time.Millisecond))
	}
	return []V{*v}, nil, nil
}

// aged is a lag that is worth a word: partitions with few events are a second or two behind.
const aged = 5 * time.Second

// printViews prints views as a table, or as lines of JSON.
func printViews[V any](out io.Writer, k kind[V], views []V, asJSON bool) error {
	switch {
	case asJSON:
		lines := newLines(out)
		for i := range views {
			if err := lines.Encode(views[i]); err != nil {
				return err
			}
		}
		return nil
	case len(views) == 0:
		return nil
	}
	return k.print(out, views)
}

// newLines writes JSON as the service does, a line each.
func newLines(out io.Writer) *json.Encoder {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	return e
}
