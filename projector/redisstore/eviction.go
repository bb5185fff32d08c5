package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// EvictionError says that a Redis may throw views away when its memory is full, and leave
// the position that claims to include them.
type EvictionError struct {
	Server string // its run id, as INFO shows it
	Policy string // its maxmemory-policy
}

func (e *EvictionError) Error() string {
	return fmt.Sprintf("redis %s has maxmemory-policy %s and may evict views: "+
		"set maxmemory-policy to noeviction (CONFIG SET maxmemory-policy noeviction, and in its configuration file)",
		e.Server, e.Policy)
}

// CheckEviction returns an [EvictionError] if a primary has another maxmemory-policy than
// noeviction, whether it has a maxmemory yet or not. It reads INFO, which is allowed where
// CONFIG is not.
func (s *Store) CheckEviction(ctx context.Context) error {
	var mu sync.Mutex
	var found error
	err := s.eachPrimary(ctx, func(ctx context.Context, c redis.Cmdable) error {
		// Asked for one section by one: several at once are read from 7.0 on.
		memory, err := c.Info(ctx, "memory").Result()
		if err != nil {
			return err
		}
		policy := infoField(memory, "maxmemory_policy")
		if policy == "noeviction" {
			return nil
		}
		if policy == "" {
			return errors.New("INFO memory does not say maxmemory_policy")
		}
		server, err := c.Info(ctx, "server").Result()
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		found = &EvictionError{Server: infoField(server, "run_id"), Policy: policy}
		return nil
	})
	if err == nil {
		err = found
	}
	if err != nil {
		return fmt.Errorf("check eviction: %w", err)
	}
	return nil
}

// infoField is the value of a field of INFO's answer, empty if it is not there.
func infoField(info, name string) string {
	for line := range strings.SplitSeq(info, "\n") {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
