package simulate

import (
	"fmt"
	"math/rand/v2"

	"github.com/spf13/cobra"

	"github.com/pinstatus/pinstatus/cmd/pinstatus/publish"
)

// NewCommand is the command simulate.
func NewCommand(connect publish.Connect) *cobra.Command {
	var o Options
	g := &o.Generator
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Publish made-up events: to try an installation, or to load it",
		Long: `Publish the made-up events of gateways and accounts, in a realistic mix of all event types.
Some come out of order, some again, some late; lock storms fail attempts on many accounts at
a time. It runs until it is interrupted, or as --duration or --count say, and ends with a
summary. The same --seed makes up the same events again, with other ids and times.

The events go into the stream like any others: use a tenant that exists for trying.`,
		Example: `  pinstatus simulate
  pinstatus simulate --rate 0 --count 1000000 --accounts 100000 --codes 100000
  pinstatus simulate --rate 2000 --duration 10m --disorder 0.3 --repeats 0.2 --bad 0.01`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("seed") {
				g.Seed = uint64(rand.Uint32()) //nolint:gosec // any number will do, and short ones are easier to repeat
			}
			if err := o.validate(); err != nil {
				return err
			}
			if _, err := New(*g); err != nil {
				return err
			}
			js, closeJS, err := connect(cmd.Context())
			if err != nil {
				return err
			}
			defer closeJS()
			if _, err := fmt.Fprintf(cmd.ErrOrStderr(), "simulating with --seed %d\n", g.Seed); err != nil {
				return err
			}
			return Run(cmd.Context(), js, cmd.OutOrStdout(), cmd.ErrOrStderr(), o)
		},
	}
	f := cmd.Flags()
	f.Float64Var(&o.Rate, "rate", 100, "`events` a second; 0 for as fast as the broker takes them")
	f.DurationVar(&o.Duration, "duration", 0, "how long to run (until interrupted)")
	f.IntVar(&o.Count, "count", 0, "`number` of events to send (without end)")
	f.Uint64Var(&g.Seed, "seed", 0, "`number` that decides which events are made up (random)")
	f.StringSliceVar(&g.Tenants, "tenants", []string{"demo"}, "`ids` of the tenants")
	f.StringSliceVar(&g.PINTypes, "pin-types", []string{"Parental", "Purchase"}, "`names` of PIN types that the tenants have")
	f.IntVar(&g.Accounts, "accounts", 1000, "`number` of accounts of each tenant")
	f.IntVar(&g.Codes, "codes", 1000, "`number` of PIN codes of each tenant that are under way at a time")
	f.Float64Var(&g.Disorder, "disorder", 0.05, "`share` of the events that others overtake")
	f.IntVar(&g.HoldBack, "hold-back", 200, "`number` of events that overtake another, at most")
	f.Float64Var(&g.Repeats, "repeats", 0.02, "`share` of the events that were sent before")
	f.Float64Var(&g.Late, "late", 0, "`share` of the events whose time lies far back")
	f.DurationVar(&g.LateBy, "late-by", 0, "how far back that is, at least (2h)")
	f.Float64Var(&g.Bad, "bad", 0, "`share` of the events that no consumer can take: they become dead letters")
	f.IntVar(&g.StormEvery, "storm-every", 10_000, "`number` of events from one lock storm to the next; 0 for none")
	f.IntVar(&g.StormAccounts, "storm-accounts", 50, "`number` of accounts that a lock storm hits")
	f.IntVar(&g.StormAttempts, "storm-attempts", 3, "`number` of failed attempts on each of them")
	f.DurationVar(&o.Progress, "progress", 0, "time between lines of progress (200ms on a terminal, else 5s)")
	f.IntVar(&o.Sender.Pending, "pending", publish.DefaultPending, "`number` of events on their way at the same time")
	f.DurationVar(&o.Sender.AckWait, "ack-wait", publish.DefaultAckWait, "how long to wait for an acknowledgement")
	f.BoolVar(&o.JSON, "json", false, "print the summary as JSON")
	return cmd
}
