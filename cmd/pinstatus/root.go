package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newRoot is the whole command line.
func newRoot(in io.Reader, out, errOut io.Writer) *cobra.Command {
	root := group(&cobra.Command{
		Use:   "pinstatus",
		Short: "Status of one-time PINs and of account PINs, projected from NATS JetStream into Redis",
		Long: `pinstatus reads delivery reports and PIN attempts from NATS JetStream, projects them
into status views in Redis, and answers questions about them over HTTP.

  pinstatus serve          everything in one process, to try it or for one machine
  pinstatus project        the projector alone, against real servers
  pinstatus query          the query service alone, against real servers

Flags that say where servers, files and addresses are, how streams are to be, and what is
logged can be given by environment variables as well: PINSTATUS_ and the flag's name in
capitals, with _ for -. A flag on the command line wins.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if takesVariables(cmd.Flags()) && cmd.Flags().Lookup("log-level") == nil { // else the log tells
				for _, warning := range unknownVariables(os.Environ()) {
					fmt.Fprintln(cmd.ErrOrStderr(), "pinstatus: "+warning)
				}
			}
			return fromEnvironment(cmd.Flags(), os.Getenv)
		},
	})
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	root.AddCommand(
		newServe(), newProject(), newQuery(),
		newStreams(), newPartitions(), newRebuild(), newVerify(), newSnapshot(), newErase(), newDeadLetters(),
		newPublish(), newSimulate(), newGet(), newWatch(), newKey(), newVersion(),
	)
	for _, cmd := range root.Commands() {
		sameFlags(cmd)
	}
	root.SetFlagErrorFunc(misspelt)
	root.InitDefaultHelpCmd()
	for _, help := range root.Commands() {
		if help.Name() == "help" {
			help.RunE = showHelp
		}
	}
	return root
}

// misspelt is why the flags of a command line cannot be read. Those behind a misspelt command
// are not at fault.
func misspelt(cmd *cobra.Command, err error) error {
	if args := cmd.Flags().Args(); cmd.HasSubCommands() && len(args) > 0 {
		return cmd.ValidateArgs(args)
	}
	return err
}

// showHelp shows the help of the command that the arguments name.
func showHelp(help *cobra.Command, args []string) error {
	cmd, rest, err := help.Root().Find(args)
	if err == nil && cmd.HasSubCommands() {
		err = cmd.ValidateArgs(rest)
	}
	if err != nil {
		return err
	}
	cmd.InitDefaultHelpFlag()
	return cmd.Help()
}

// sameFlags has every operator's command take the flags that say where an installation is, so
// that one list of flags does for all. Those that a command has no use for it does not show.
func sameFlags(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		sameFlags(sub)
	}
	if !takesVariables(cmd.Flags()) || cmd.Flags().Lookup("log-level") != nil {
		return // it speaks to no server, or is a service
	}
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	unused := &options{}
	unused.operator(f)
	unused.configured(f, "")
	unused.restoring(f)
	f.VisitAll(func(flag *pflag.Flag) {
		if cmd.Flags().Lookup(flag.Name) == nil {
			flag.Hidden = true
			cmd.Flags().AddFlag(flag)
		}
	})
}

// group makes a command that only holds others. Alone it prints its help; an argument is a
// misspelt command, which must not look like a success to a script.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.DisableFlagsInUseLine = true
	cmd.SuggestionsMinimumDistance = 2
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		err := fmt.Errorf("unknown command %q for %q", args[0], cmd.CommandPath())
		if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
			err = fmt.Errorf("%w: did you mean %q?", err, like[0])
		}
		return err
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}
