package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/pinstatus/pinstatus/consumer"
)

func newStreams() *cobra.Command {
	cmd := &cobra.Command{Use: "streams", Short: "Create, change or check the streams on NATS"}
	o := &options{}
	apply := streamsCommand(o, "apply", "Create the streams, or change them to what they have to be", consumer.Apply, "applied")
	f := apply.Flags()
	f.DurationVar(&o.maxAge, "max-age", 0, "`time` that an event is kept; views can only be rebuilt from what the stream holds (default: as it is; no limit for a new one)")
	f.Int64Var(&o.maxBytes, "max-bytes", 0, "`size` at which the stream refuses events (default: as it is; no limit for a new one)")
	f.BoolVar(&o.force, "force", false, "also make changes that delete events, or that need the views to be rebuilt")
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
			js, disconnect, err := o.jetStream()
			if err != nil {
				return err
			}
			defer disconnect()
			err = do(cmd.Context(), js, o.streams())
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
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
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

// jetStream connects an operator's command, which does not wait for a server that is not
// there. The function that it returns closes the connection.
func (o *options) jetStream() (jetstream.JetStream, func(), error) {
	url := o.natsURL
	if url == "" {
		url = nats.DefaultURL
	}
	opts := []nats.Option{nats.Name("pinstatus"), nats.Timeout(5 * time.Second)}
	if o.natsCreds != "" {
		opts = append(opts, nats.UserCredentials(o.natsCreds))
	}
	nc, err := nats.Connect(url, opts...)
	if errors.Is(err, nats.ErrNoServers) {
		return nil, nil, fmt.Errorf("no NATS server answers at --nats-url, or at its default: %w", err)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("--nats-url: %w", err)
	}
	js, err := jetstream.New(nc)
	return js, nc.Close, err
}
