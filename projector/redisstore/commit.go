package redisstore

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/view"
)

//go:embed commit.lua
var commitSource string

// Commit applies c at once or not at all. If the partition's position is not c.From it
// changes nothing and returns the position found, which the caller compares: it is c.To if
// an earlier try of the same commit went through. After success it returns c.To. It is safe
// to repeat. A view is named at most once.
//
// Redis does nothing else while it runs a commit: the caller bounds its size.
func (s *Store) Commit(ctx context.Context, c *projector.Commit) (view.Position, error) {
	start := time.Now()
	found, err := s.commit(ctx, c)
	s.metrics.committed(start, c, found, err)
	if err != nil {
		return view.Position{}, fmt.Errorf("commit to partition %d: %w", c.Partition, err)
	}
	return found, nil
}

func (s *Store) commit(ctx context.Context, c *projector.Commit) (view.Position, error) {
	if c.To == (view.Position{}) {
		return view.Position{}, errors.New("no position to move to")
	}
	ks, err := s.partition(c.Generation, c.Partition)
	if err != nil {
		return view.Position{}, err
	}
	if err := ctx.Err(); err != nil {
		return view.Position{}, err
	}
	call := newCommitCall(ks, c)
	s.metrics.commitBytes.Observe(float64(call.size))

	reply, err := s.commitScript.Run(ctx, s.client, call.keys, call.args...).Result()
	if err != nil {
		return view.Position{}, err
	}
	switch reply := reply.(type) {
	case int64:
		return c.To, nil
	case string:
		return parsePosition(c.Partition, reply)
	}
	return view.Position{}, fmt.Errorf("script answered a %T", reply)
}

// commitCall is a commit as the script's keys and arguments.
type commitCall struct {
	keys []string
	args []any
	size int // bytes of keys and values
}

func newCommitCall(ks *view.Keyspace, c *projector.Commit) *commitCall {
	var w commitWrites
	for i := range c.Writes {
		write := &c.Writes[i]
		w.add(ks.View(c.Partition, write.Key), write.Value, write.ExpireAt)
		for _, lock := range write.Locks {
			var value []byte
			if lock.Until != 0 {
				value = strconv.AppendInt(nil, lock.Until, 10)
			}
			w.add(ks.Lock(c.Partition, write.Key, lock.PINType), value, lock.Until)
		}
	}
	position := ks.Position(c.Partition)
	from, to := formatPosition(c.From), formatPosition(c.To)
	args := []any{from, to, tornMark(c.From, c.To), len(w.drops)}
	return &commitCall{
		keys: slices.Concat([]string{position}, w.drops, w.sets),
		args: append(args, w.args...),
		size: w.size + len(position) + len(from) + len(to),
	}
}

// commitWrites are the keys that a commit drops, those that it sets, and the value and
// expiry of each of the latter.
type commitWrites struct {
	drops, sets []string
	args        []any
	size        int
}

// add drops the key if it has no value, or an expiry before 1970: Redis refuses such a
// time, and does as asked with any other that has passed.
func (w *commitWrites) add(key string, value []byte, expireAt int64) {
	w.size += len(key) + len(value)
	if value == nil || expireAt < 0 {
		w.drops = append(w.drops, key)
		return
	}
	w.sets = append(w.sets, key)
	w.args = append(w.args, value, expireAt)
}
