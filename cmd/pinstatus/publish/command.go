package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// One publishes a single event and prints the stream sequence that it got.
func One(ctx context.Context, js jetstream.JetStream, e *event.Event, out io.Writer, o Options) error {
	sender := NewSender(ctx, js, o.Sender)
	var result Ack
	err := sender.Send(ctx, Message(e), func(a Ack) { result = a })
	sender.Close()
	if err == nil {
		err = result.Err
	}
	if err != nil {
		return fmt.Errorf("not published: %w", err)
	}
	p := printer{out: out, json: o.JSON, quiet: o.Quiet}
	p.print(newResult(0, e, result))
	return p.failed()
}

// Connect opens JetStream. The function that it returns closes it again.
type Connect func(context.Context) (jetstream.JetStream, func(), error)

// NewCommand is the command publish.
func NewCommand(connect Connect) *cobra.Command {
	var a Args
	var o Options
	cmd := &cobra.Command{
		Use:   "publish [FILE]",
		Short: "Publish events: one given by flags, or many as lines of JSON",
		Long: `Publish one event that is given by flags:

  pinstatus publish --type sms.status --pin 2B67 --status MESSAGE_DELIVERED --to 41793026727
  pinstatus publish --type attempt --account alice --pin-type Parental --outcome FAILED

or those of a file, or of standard input, which has one CloudEvent in structured JSON form
on each line:

  pinstatus publish events.ndjson

Every event is checked before it is published. The stream sequence of its acknowledgement is
printed. Publishing an event again changes nothing. The exit status is 1 unless every event
was published.

Event types and their flags (those in brackets may be left out):
` + typeHelp(),
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return command(cmd, args, &a, o, connect)
		},
	}
	a.Flags(cmd.Flags())
	cmd.Flags().BoolVar(&o.JSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&o.Quiet, "quiet", false, "do not print what was published")
	cmd.Flags().IntVar(&o.Sender.Pending, "pending", DefaultPending, "`number` of events on their way at the same time")
	cmd.Flags().DurationVar(&o.Sender.AckWait, "ack-wait", DefaultAckWait, "how long to wait for an acknowledgement")
	return cmd
}

func command(cmd *cobra.Command, args []string, a *Args, o Options, connect Connect) error {
	var given []string
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if own(f.Name) {
			given = append(given, f.Name)
		}
	})
	in, name, err := input(cmd, args, a)
	if err != nil {
		return err
	}
	var e *event.Event
	if in == nil {
		if e, err = a.Event(time.Now(), given); err != nil {
			return err
		}
	} else {
		defer in.Close()
		if len(given) > 0 {
			return fmt.Errorf("--%s: the events of %s bring their own", given[0], name)
		}
	}
	js, closeJS, err := connect(cmd.Context())
	if err != nil {
		return err
	}
	defer closeJS()
	if in == nil {
		return One(cmd.Context(), js, e, cmd.OutOrStdout(), o)
	}
	return Lines(cmd.Context(), js, in, cmd.OutOrStdout(), cmd.ErrOrStderr(), o)
}

// input is where lines are read from and what it is called; nil if flags give the event.
func input(cmd *cobra.Command, args []string, a *Args) (io.ReadCloser, string, error) {
	if len(args) == 1 && args[0] != "-" {
		f, err := os.Open(args[0])
		return f, args[0], err
	}
	if len(args) == 0 && a.Type != "" {
		return nil, "", nil
	}
	in := cmd.InOrStdin()
	if f, ok := in.(*os.File); ok && len(args) == 0 && term.IsTerminal(int(f.Fd())) {
		return nil, "", errors.New("what to publish: --type and its flags, or a file of events, or - for standard input (see --help)")
	}
	return io.NopCloser(in), "standard input", nil
}

// typeHelp lists the types with their flags.
func typeHelp() string {
	s := ""
	for _, t := range allTypes() {
		s += fmt.Sprintf("\n  %-20s", short(t))
		for _, flag := range forms[t].required {
			s += " --" + flag
		}
		for i, flag := range forms[t].optional {
			s += map[bool]string{true: " [", false: " "}[i == 0] + "--" + flag
		}
		if len(forms[t].optional) > 0 {
			s += "]"
		}
	}
	return s
}
