package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/pinstatus/pinstatus/consumer"
)

func newStreams() *cobra.Command {
	cmd := group(&cobra.Command{Use: "streams", Short: "Create, change or check the streams on NATS"})
	o := &options{}
	apply := streamsCommand(o, "apply", "Create the streams, or change them to what they have to be", consumer.Apply, "applied")
	apply.Flags().BoolVar(&o.force, "force", false, "also make changes that delete events, or that need the views to be rebuilt")
	apply.Flags().BoolVar(&o.accept, "accept-deletions", false,
		"take the messages that are missing from the event stream as deleted on purpose: views are made without them from now on")
	cmd.AddCommand(apply, streamsCommand(&options{}, "check", "Compare the streams with what they have to be", consumer.Check, "as they have to be"))
	return cmd
}

func streamsCommand(
	o *options, name, short string, do func(context.Context, jetstream.JetStream, consumer.Streams) error, done string,
) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: name, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			streams, err := o.streams()
			if err != nil {
				return err
			}
			js, disconnect, err := o.jetStream()
			if err != nil {
				return err
			}
			defer disconnect()
			if name == "apply" {
				out := cmd.OutOrStdout()
				if asJSON {
					out = cmd.ErrOrStderr()
				}
				if err := o.announce(cmd.Context(), out, js, streams); err != nil {
					return err
				}
			}
			err = o.advise(do(cmd.Context(), js, streams))
			if asJSON {
				return streamsJSON(cmd.OutOrStdout(), err)
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s, %s: %s\n", consumer.EventStream, consumer.DeadLetterStream, done)
			return err
		},
	}
	f := cmd.Flags()
	o.nats(f, "default "+nats.DefaultURL)
	o.stream(f)
	o.limits(f)
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// announce says what an apply is going to change.
func (o *options) announce(ctx context.Context, out io.Writer, js jetstream.JetStream, streams consumer.Streams) error {
	for _, err := range joined(consumer.Check(ctx, js, streams)) {
		var differs *consumer.StreamError
		switch {
		case errors.As(err, &differs):
			fmt.Fprintf(out, "going to apply stream %s: %s\n", differs.Stream, strings.Join(differs.Differences, "; "))
		case err != nil:
			return err
		}
	}
	if !o.accept {
		return nil
	}
	stream, err := consumer.Describe(ctx, js)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err == nil {
		_, err = fmt.Fprintf(out, "stream %s lacks messages (%d), which will be taken as deleted on purpose\n", consumer.EventStream, stream.Missing)
	}
	return err
}

// streams is how the streams are to be. The error names the flags that say what cannot be.
func (o *options) streams() (consumer.Streams, error) {
	s := consumer.Streams{Partitions: o.partitions, Replicas: o.replicas, Force: o.force, AcceptDeletions: o.accept}
	if o.flags.Changed("max-age") {
		s.Limits.MaxAge = &o.maxAge
	}
	if o.flags.Changed("max-bytes") {
		s.Limits.MaxBytes = &o.maxBytes
	}
	flags := map[string]string{
		"Partitions": "partitions", "Replicas": "stream-replicas", "MaxAge": "max-age", "MaxBytes": "max-bytes",
	}
	var errs []error
	for _, err := range joined(s.Validate()) {
		var wrong *consumer.SettingError
		if errors.As(err, &wrong) && flags[wrong.Setting] != "" {
			err = fmt.Errorf("--%s: %s", flags[wrong.Setting], wrong.Problem)
		}
		errs = append(errs, err)
	}
	return s, errors.Join(errs...)
}

// joined are the errors that errors.Join put together.
func joined(err error) []error {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		return several.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// advice is an error about a stream, with what to do about it.
type advice struct {
	err  error
	text string
}

func (a *advice) Error() string { return a.text }
func (a *advice) Unwrap() error { return a.err }

// advise ends what is told of streams that are not as they have to be with the command
// that puts them right.
func (o *options) advise(err error) error {
	var differs *consumer.StreamError
	var refused *consumer.RefusedError
	if !errors.As(err, &differs) && !errors.As(err, &refused) {
		return err
	}
	var errs []error
	for _, err := range joined(err) {
		switch {
		case errors.As(err, &differs):
			text := fmt.Sprintf("stream %s: %s: run \"%s\"", differs.Stream, strings.Join(differs.Differences, "; "), o.applyCommand())
			err = &advice{err, text}
		case errors.As(err, &refused):
			text := fmt.Sprintf("stream %s is left as it is: %s: if that is meant, run \"%s --force\"",
				refused.Stream, strings.Join(refused.Harms, "; "), o.applyCommand())
			err = &advice{err, text}
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// applyCommand is the command that makes the streams what the flags given say.
func (o *options) applyCommand() string {
	command := "pinstatus streams apply"
	for _, name := range []string{
		"nats-url", "nats-creds", "nats-nkey", "nats-tls-ca", "nats-tls-cert", "nats-tls-key",
		"partitions", "stream-replicas", "max-age", "max-bytes",
	} {
		if !o.flags.Changed(name) {
			continue
		}
		value := o.flags.Lookup(name).Value.String()
		if name == "nats-url" {
			if all, err := servers(value); err == nil {
				value = redacted(all)
			}
		}
		command += " --" + name + " " + quoted(value)
	}
	return command
}

// quoted is a word of a shell's command line.
func quoted(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("-_./:,@%+=", r) && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// streamsJSON prints the result of a command on the streams.
func streamsJSON(out io.Writer, result error) error {
	answer := struct {
		Streams []string `json:"streams"`
		OK      bool     `json:"ok"`
		Error   string   `json:"error,omitempty"`
	}{Streams: []string{consumer.EventStream, consumer.DeadLetterStream}, OK: result == nil}
	if result != nil {
		answer.Error = result.Error()
	}
	if err := json.NewEncoder(out).Encode(answer); err != nil {
		return err
	}
	if result != nil {
		return exitCode(1)
	}
	return nil
}
