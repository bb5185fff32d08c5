package redistest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Replicated is a Redis Cluster whose primaries have a replica each: when one dies, its
// replica takes over, and what had not come across is lost.
type Replicated struct {
	*Cluster
	Replicas []*Server // of the shards, as they were at the start
}

// StartReplicated runs a Redis Cluster of so many shards with a replica each until the test
// ends.
func StartReplicated(tb testing.TB, shards int, args ...string) *Replicated {
	tb.Helper()
	return startReplicated(shards, func() *Server { return startClusterTCP(tb, args) })
}

func startReplicated(shards int, start func() *Server) *Replicated {
	c := &Replicated{Cluster: startCluster(shards, start)}
	for _, primary := range c.Shards {
		replica := start()
		c.Replicas = append(c.Replicas, replica)
		c.Addrs = append(c.Addrs, replica.Addr)
		host, port, _ := strings.Cut(c.Shards[0].Addr, ":")
		replica.Do("CLUSTER", "MEET", host, port)
		id := fmt.Sprint(primary.Do("CLUSTER", "MYID"))
		replica.waitFor("the replica to know its primary", func() bool {
			_, err := replica.try("CLUSTER", "REPLICATE", id)
			return err == nil
		})
	}
	for _, replica := range c.Replicas {
		replica.waitFor("the replica to have caught up", func() bool {
			return strings.Contains(replica.replication(), "master_link_status:up")
		})
		replica.waitSlots()
	}
	c.URL = "redis+cluster://" + strings.Join(c.Addrs, ",")
	return c
}

// WaitPrimary waits until a server is a primary.
func (c *Replicated) WaitPrimary(s *Server) {
	s.waitPrimary()
	c.waitReadyAt(s)
}

// waitPrimary waits until a replica has become the primary, which ends its connections.
func (s *Server) waitPrimary() {
	s.waitFor("the replica to be the primary", func() bool {
		return strings.Contains(s.replication(), "role:master")
	})
}

// waitReadyAt waits until a server finds that all slots are served.
func (*Replicated) waitReadyAt(s *Server) {
	s.waitFor("the cluster to be whole again", func() bool {
		info, _ := s.try("CLUSTER", "INFO")
		text, _ := info.(string)
		return strings.Contains(text, "cluster_state:ok")
	})
}

// MoveSlot moves a slot with all its keys from one primary to another, as an operator does who
// reshards: key by key, while clients go on.
func (c *Cluster) MoveSlot(slot int, from, to *Server) {
	from.tb.Helper()
	c.BeginMove(slot, from, to)
	c.MoveKeys(slot, from, to)
	toID := to.Do("CLUSTER", "MYID")
	for _, s := range append([]*Server{to, from}, c.Shards...) {
		_, _ = s.try("CLUSTER", "SETSLOT", slot, "NODE", toID) // a replica refuses
	}
}

// BeginMove tells two primaries that a slot is on its way from one to the other.
func (*Cluster) BeginMove(slot int, from, to *Server) {
	from.tb.Helper()
	to.Do("CLUSTER", "SETSLOT", slot, "IMPORTING", from.Do("CLUSTER", "MYID"))
	from.Do("CLUSTER", "SETSLOT", slot, "MIGRATING", to.Do("CLUSTER", "MYID"))
}

// MoveKeys moves all keys of a slot whose move has begun; both primaries go on to say that it
// is on its way.
func (*Cluster) MoveKeys(slot int, from, to *Server) {
	from.tb.Helper()
	host, port, _ := strings.Cut(to.Addr, ":")
	for {
		keys, _ := from.Do("CLUSTER", "GETKEYSINSLOT", slot, 10).([]any)
		if len(keys) == 0 {
			break
		}
		from.Do(slices.Concat([]any{"MIGRATE", host, port, "", 0, 5000}, to.credentials(), []any{"KEYS"}, keys)...)
	}
}

// Owner is the primary that serves a slot.
func (c *Replicated) Owner(slot int) *Server {
	c.Shards[0].tb.Helper()
	var owner *Server
	c.Shards[0].waitFor("an owner of the slot", func() bool {
		for _, asked := range c.Shards {
			ranges, _ := asked.try("CLUSTER", "SLOTS")
			all, _ := ranges.([]any)
			for _, r := range all {
				owner = c.ownerIn(r, slot)
				if owner != nil {
					return true
				}
			}
		}
		return false
	})
	return owner
}

// ownerIn is the primary of a range of CLUSTER SLOTS, nil if the slot lies outside.
func (c *Replicated) ownerIn(slots any, slot int) *Server {
	r, _ := slots.([]any)
	if len(r) < 3 {
		return nil
	}
	first, _ := r[0].(int64)
	last, _ := r[1].(int64)
	node, _ := r[2].([]any)
	if int64(slot) < first || int64(slot) > last || len(node) < 2 {
		return nil
	}
	addr := fmt.Sprintf("%v:%v", node[0], node[1])
	for _, s := range append(slices.Clone(c.Shards), c.Replicas...) {
		if s.Addr == addr {
			return s
		}
	}
	return nil
}

// Slot is the hash slot of a key, by the server's own rule.
func (c *Cluster) Slot(key string) int {
	slot, _ := c.Shards[0].Do("CLUSTER", "KEYSLOT", key).(int64)
	return int(slot)
}
