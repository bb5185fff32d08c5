package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newRoot is the whole command line.
func newRoot(in io.Reader, out, errOut io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "pinstatus",
		Short: "Status of one-time PINs and of account PINs, projected from NATS JetStream into Redis",
		Long: `pinstatus reads delivery reports and PIN attempts from NATS JetStream, projects them
into status views in Redis, and answers questions about them over HTTP.

  pinstatus serve          everything in one process, to try it or for one machine
  pinstatus project        the projector alone, against real servers
  pinstatus query          the query service alone, against real servers

Every flag can be set by an environment variable: PINSTATUS_ and the flag's name in
capitals, with _ for -. A flag on the command line wins.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return fromEnvironment(cmd.Flags(), os.LookupEnv)
		},
	}
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	root.AddCommand(
		newServe(), newProject(), newQuery(), newStreams(),
		newPublish(), newSimulate(), newKey(), newVersion(),
	)
	return root
}

// fromEnvironment sets every flag that the command line does not give from its variable.
func fromEnvironment(flags *pflag.FlagSet, lookup func(string) (string, bool)) (err error) {
	flags.VisitAll(func(f *pflag.Flag) {
		value, given := lookup(variable(f.Name))
		if !given || f.Changed || err != nil {
			return
		}
		if e := flags.Set(f.Name, value); e != nil {
			err = fmt.Errorf("%s: %w", variable(f.Name), e)
		}
	})
	return err
}

// variable is the name of a flag's environment variable.
func variable(flag string) string {
	return "PINSTATUS_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}
