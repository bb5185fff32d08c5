package redisstore

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// call is one run of a script, over keys of one slot.
type call struct {
	keys  []string
	args  []any
	reply *redis.Cmd // once it has run; each has its own error
}

// pipeline runs the script for each of the calls: one round trip to each shard, and another
// to a shard that has not seen the script yet, or not since its start.
func (s *Store) pipeline(ctx context.Context, script *redis.Script, calls []*call) {
	if len(calls) == 1 {
		calls[0].reply = script.Run(ctx, s.client, calls[0].keys, calls[0].args...)
		return
	}
	// The pipeline's own error is the first of its commands'.
	_, _ = s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, c := range calls {
			c.reply = script.EvalSha(ctx, p, c.keys, c.args...)
		}
		return nil
	})
	var unknown []*call
	for _, c := range calls {
		if err := c.reply.Err(); redis.HasErrorPrefix(err, "NOSCRIPT") || errors.Is(err, redis.ErrNoScript) {
			unknown = append(unknown, c)
		}
	}
	if len(unknown) == 0 {
		return
	}
	_, _ = s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, c := range unknown {
			c.reply = script.Eval(ctx, p, c.keys, c.args...)
		}
		return nil
	})
}
