package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/cmd/pinstatus/config"
	"github.com/pinstatus/pinstatus/consumer"
)

func newProject() *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{
		Use: "project", Short: "Run the projector against real servers", Args: cobra.NoArgs,
		Long: `Run the projector: read events from NATS JetStream, and keep the views in Redis.

Run as many as you like: they share the partitions evenly by leases, and take over from one
that ends or is not heard of any more.

It checks that the streams are as they have to be, and changes nothing there: that is
what "pinstatus streams apply" is for.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd, (*service).project)
		},
	}
	f := cmd.Flags()
	o.admin(f)
	o.nats(f, "required")
	o.redis(f, "required")
	o.configured(f, "required")
	o.stream(f)
	o.project(f)
	o.logging(f)
	return cmd
}

// run is the life of a service against real servers.
func (o *options) run(cmd *cobra.Command, setUp func(*service, context.Context) error) error {
	return o.logged(cmd.ErrOrStderr(), func(log *zap.Logger) error {
		if err := o.required(); err != nil {
			return err
		}
		cfg, err := config.Load(o.config)
		if err != nil {
			return err
		}
		s, err := newService(o, cfg, log)
		if err != nil {
			return err
		}
		return s.runUntil(cmd.Context(), func(ctx context.Context) error { return setUp(s, ctx) })
	})
}

// required names the flags that a service against real servers cannot do without.
func (o *options) required() error {
	var errs []error
	for _, f := range []struct{ name, value string }{
		{"nats-url", o.natsURL}, {"redis-url", o.redisURL}, {"config", o.config},
	} {
		if f.value == "" {
			errs = append(errs, errors.New("--"+f.name+" (or "+variable(f.name)+") is required"))
		}
	}
	return errors.Join(errs...)
}

func (s *service) project(ctx context.Context) error {
	streams, err := s.opts.streams()
	if err != nil {
		return err
	}
	if err := s.connectNATS(ctx); err != nil {
		return err
	}
	if err := s.untilAnswered(ctx, "NATS", func(ctx context.Context) error {
		if err := s.connected(); err != nil {
			return err // the log has why
		}
		return consumer.Check(ctx, s.jetStream, streams)
	}); err != nil {
		return s.opts.advise(err)
	}
	if err := s.connectRedis(ctx); err != nil {
		return err
	}
	if _, err := s.startProjector(s.snapshotDir()); err != nil {
		return err
	}
	s.followConfig()
	s.log.Info("projecting", zap.String("admin", s.admin.addr))
	return nil
}
