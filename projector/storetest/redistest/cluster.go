package redistest

import (
	"slices"
	"strings"
	"testing"
)

const clusterSlots = 16384

// Cluster is a Redis Cluster of primaries without replicas; every shard holds an equal
// share of the slots.
type Cluster struct {
	URL    string // redis+cluster:// and all addresses
	Addrs  []string
	Shards []*Server
}

// StartCluster runs a Redis Cluster until the test ends.
func StartCluster(tb testing.TB, shards int, args ...string) *Cluster {
	tb.Helper()
	return startCluster(shards, func() *Server { return startClusterTCP(tb, args) })
}

// startClusterTCP starts what may become a member of a Cluster.
func startClusterTCP(tb testing.TB, args []string) *Server {
	tb.Helper()
	return startTCP(tb, freeClusterPort(tb), slices.Concat(clusterArgs(), args))
}

func clusterArgs() []string {
	return []string{"--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--repl-diskless-sync-delay", "0"}
}

func startCluster(shards int, start func() *Server) *Cluster {
	c := &Cluster{Shards: make([]*Server, shards)}
	for i := range shards {
		c.Shards[i] = start()
	}
	for i, s := range c.Shards {
		// Not CLUSTER ADDSLOTSRANGE, which Redis has from 7.0 on.
		slots := []any{"CLUSTER", "ADDSLOTS"}
		for slot := i * clusterSlots / shards; slot < (i+1)*clusterSlots/shards; slot++ {
			slots = append(slots, slot)
		}
		s.Do(slots...)
		s.Do("CLUSTER", "SET-CONFIG-EPOCH", i+1)
		if i > 0 {
			host, port, _ := strings.Cut(s.Addr, ":")
			c.Shards[0].Do("CLUSTER", "MEET", host, port)
		}
	}
	for _, s := range c.Shards {
		c.Addrs = append(c.Addrs, s.Addr)
	}
	c.URL = "redis+cluster://" + strings.Join(c.Addrs, ",")
	c.waitReady()
	return c
}

// waitReady asks until every shard knows of all slots.
func (c *Cluster) waitReady() {
	for _, s := range c.Shards {
		s.waitSlots()
	}
}

// waitSlots asks until the server knows of all slots: until then it gives clients a part of
// them for the whole.
func (s *Server) waitSlots() {
	s.waitFor("the cluster to form", func() bool {
		info, _ := s.Do("CLUSTER", "INFO").(string)
		return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_slots_ok:16384")
	})
}
