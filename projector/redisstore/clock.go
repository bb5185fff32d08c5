package redisstore

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Clock compares Redis' clock with this machine's and returns how far Redis' is ahead; of a
// Cluster's primaries, that of the one that is farthest off. It is right to half a round
// trip.
func (s *Store) Clock(ctx context.Context) (time.Duration, error) {
	var mu sync.Mutex
	var worst time.Duration
	err := s.eachPrimary(ctx, func(ctx context.Context, c redis.Cmdable) error {
		before := time.Now()
		theirs, err := c.Time(ctx).Result()
		if err != nil {
			return err
		}
		trip := time.Since(before)
		ahead := theirs.Sub(before.Add(trip / 2))
		mu.Lock()
		defer mu.Unlock()
		if ahead.Abs() > worst.Abs() {
			worst = ahead
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("redis clock: %w", err)
	}
	return worst, nil
}

// eachPrimary calls fn for every primary, at once for those of a Cluster.
func (s *Store) eachPrimary(ctx context.Context, fn func(context.Context, redis.Cmdable) error) error {
	if c, ok := s.client.(*redis.ClusterClient); ok {
		return c.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error { return fn(ctx, node) })
	}
	return fn(ctx, s.client)
}

// parseTime reads what TIME answered, as nanoseconds since the Unix epoch.
func parseTime(seconds, micros any) (int64, error) {
	s, _ := seconds.(string)
	us, _ := micros.(string)
	sec, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("clock's seconds: %w", err)
	}
	usec, err := strconv.ParseInt(us, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("clock's microseconds: %w", err)
	}
	return sec*int64(time.Second) + usec*int64(time.Microsecond), nil
}
