package main

import (
	"context"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/pinstatus/pinstatus/cmd/pinstatus/publish"
	"github.com/pinstatus/pinstatus/cmd/pinstatus/simulate"
)

func newPublish() *cobra.Command { return connected(publish.NewCommand) }

func newSimulate() *cobra.Command { return connected(simulate.NewCommand) }

// connected gives a command that publishes its flags for the broker.
func connected(command func(publish.Connect) *cobra.Command) *cobra.Command {
	o := &options{}
	cmd := command(func(context.Context) (jetstream.JetStream, func(), error) { return o.jetStream() })
	o.nats(cmd.Flags(), "default "+nats.DefaultURL)
	return cmd
}
