package main

import (
	"context"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
)

func newQuery() *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{
		Use: "query", Short: "Run the query service against real servers", Args: cobra.NoArgs,
		Long: `Run the query service: answer questions over HTTP from the views in Redis. NATS brings
the notices that wake waiting requests.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd, (*service).query)
		},
	}
	f := cmd.Flags()
	o.listen(f)
	o.admin(f)
	o.nats(f, "required")
	o.redis(f, "required")
	o.configured(f, "required")
	o.logging(f)
	return cmd
}

func (s *service) query(ctx context.Context) error {
	// In the one account that it shares with the others, what is sent to them is none of its
	// business, and its permissions can say so.
	s.inbox = "_INBOX.query"
	if err := s.connectNATS(ctx); err != nil {
		return err
	}
	if err := s.connectRedis(ctx); err != nil {
		return err
	}
	addr, err := s.startQuery()
	if err != nil {
		return err
	}
	s.followConfig()
	s.log.Info("answering", zap.String("http", addr), zap.String("admin", s.admin.addr))
	return nil
}
