package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/cmd/pinstatus/config"
	"github.com/pinstatus/pinstatus/cmd/pinstatus/demo"
	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/memstore"
)

func newServe() *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{
		Use: "serve", Short: "Run everything in one process", Args: cobra.NoArgs,
		Long: `Run everything in one process: a NATS server with JetStream on disk, views in memory,
the projector and the query service. --nats-url and --redis-url replace the embedded
parts by real servers.

Without --config there is one tenant, demo. Its keys are made at every start and
printed together with commands to try.

Views in memory are filled from the stream at every start; until that is done, questions
are answered with 503.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.logged(cmd.ErrOrStderr(), func(log *zap.Logger) error {
				return serve(cmd.Context(), o, cmd.OutOrStdout(), log)
			})
		},
	}
	f := cmd.Flags()
	o.listen(f)
	o.admin(f)
	o.embedded(f)
	o.nats(f, "default: an embedded server")
	o.redis(f, "default: views in memory")
	o.configured(f, "default: a demo tenant")
	o.stream(f)
	o.project(f)
	o.logging(f)
	return cmd
}

func serve(ctx context.Context, o *options, out io.Writer, log *zap.Logger) error {
	var guide *demo.Demo
	var cfg *config.Config
	var err error
	if o.config != "" {
		cfg, err = config.Load(o.config)
	} else {
		listens := map[string]string{"http-addr": o.httpAddr, "admin-addr": o.adminAddr}
		if o.natsURL == "" {
			listens["nats-addr"] = o.natsAddr
		}
		if err := onlyLoopback(listens); err != nil {
			return err
		}
		if guide, err = demo.New(); err == nil {
			cfg = guide.Config()
		}
	}
	if err != nil {
		return err
	}
	s, err := newService(o, cfg, log)
	if err != nil {
		return err
	}
	return s.runUntil(ctx, func(ctx context.Context) error { return s.serve(ctx, guide, out) })
}

func (s *service) serve(ctx context.Context, guide *demo.Demo, out io.Writer) error {
	streams, err := s.opts.streams()
	if err != nil {
		return err
	}
	connect := s.embedNATS
	if s.opts.natsURL != "" {
		connect = s.connectNATS
	}
	if err := connect(ctx); err != nil {
		return err
	}
	if err := s.untilAnswered(ctx, "NATS", func(ctx context.Context) error {
		if err := s.connected(); err != nil {
			return err // the log has why
		}
		return consumer.Apply(ctx, s.jetStream, streams)
	}); err != nil {
		return s.opts.advise(err)
	}
	s.store = memstore.New(memstore.Options{})
	if s.opts.redisURL != "" {
		if err := s.connectRedis(ctx); err != nil {
			return err
		}
	}
	dir := s.snapshotDir()
	p, err := s.startProjector(dir)
	if err != nil {
		return err
	}
	if dir != nil {
		if err := s.keepSnapshots(dir); err != nil {
			return err
		}
	}
	// One process that answers with 503 has no other replica to leave the question to.
	addr, err := s.startQuery(func() error { return whole(p) })
	if err != nil {
		return err
	}
	if s.opts.config != "" {
		s.followConfig()
	}
	addresses := []zap.Field{zap.String("http", addr), zap.String("admin", s.admin.addr)}
	if s.opts.natsURL == "" { // one that was given may hold a password
		addresses = append(addresses, zap.String("nats", s.broker))
	}
	s.log.Info("serving", addresses...)
	if guide != nil {
		return guide.Write(out, demo.Addresses{HTTP: addr, TLS: s.opts.tlsCert != "", Admin: s.admin.addr, NATS: s.broker})
	}
	return nil
}

// whole reports the partitions whose views are still being filled.
func whole(p *projector.Projector) error {
	if n, of := p.Refilling(); n > 0 || of == 0 {
		return fmt.Errorf("views of %d of %d partitions are being filled from the stream", n, of)
	}
	return nil
}
