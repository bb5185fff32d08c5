package redisstore

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
)

//go:embed read.lua
var readSource string

// Read returns a record for each read, in the order asked. The records of one partition are
// all of one instant, and of its primary. It costs one round trip to each shard: one script
// for each partition, and those of a shard in one pipeline.
//
// A partition that a commit was left in the middle of (see [TornError]) is answered as one
// without a position and without views: nothing can be said of it.
func (s *Store) Read(ctx context.Context, g view.Generation, reads []view.Read) ([]view.Record, error) {
	if len(reads) == 0 {
		return nil, nil
	}
	start := time.Now()
	records, err := s.read(ctx, g, reads)
	if err != nil {
		s.metrics.failed("read", err)
		return nil, fmt.Errorf("read views: %w", err)
	}
	s.metrics.readDuration.Observe(since(start))
	return records, nil
}

func (s *Store) read(ctx context.Context, g view.Generation, reads []view.Read) ([]view.Record, error) {
	ks, err := s.keyspace(g)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	calls := groupReads(ks, reads)
	scripts := make([]*call, len(calls))
	for i := range calls {
		scripts[i] = &calls[i].call
	}
	s.pipeline(ctx, s.readScript, scripts)
	records := make([]view.Record, len(reads))
	for _, call := range calls {
		if err := call.records(reads, records); err != nil {
			return nil, fmt.Errorf("partition %d: %w", call.partition, err)
		}
	}
	return records, nil
}

// readCall is one run of the script: all that is asked of one partition.
type readCall struct {
	call
	partition int
	reads     []int // which reads they are, by their place in what was asked
}

// groupReads makes a call for each partition that is asked for something.
func groupReads(ks *view.Keyspace, reads []view.Read) []*readCall {
	var calls []*readCall
	byPartition := make(map[int]*readCall)
	for i := range reads {
		p := reads[i].Key.Partition(ks.Partitions())
		call := byPartition[p]
		if call == nil {
			call = &readCall{partition: p}
			call.keys = []string{ks.Position(p)}
			byPartition[p] = call
			calls = append(calls, call)
		}
		call.reads = append(call.reads, i)
		call.keys = append(call.keys, ks.View(p, reads[i].Key))
	}
	for _, call := range calls {
		call.args = []any{len(call.reads)} // views
		for _, i := range call.reads {
			for _, pinType := range reads[i].Locks {
				call.keys = append(call.keys, ks.Lock(call.partition, reads[i].Key, pinType))
			}
		}
	}
	return calls
}

// records writes the answers of a call to their places.
func (call *readCall) records(reads []view.Read, records []view.Record) error {
	reply, err := call.reply.Slice()
	if err != nil {
		return err
	}
	const clock = 2 // elements
	if len(reply) != clock+len(call.keys) {
		return fmt.Errorf("script answered %d elements for %d keys", len(reply), len(call.keys))
	}
	now, err := parseTime(reply[0], reply[1])
	if err != nil {
		return err
	}
	stored, _ := reply[clock].(string)
	position, err := parsePosition(call.partition, stored)
	var torn *TornError
	if errors.As(err, &torn) {
		for _, i := range call.reads {
			records[i] = view.Record{Locks: make([]int64, len(reads[i].Locks)), Now: now}
		}
		return nil
	}
	if err != nil {
		return err
	}
	values := reply[clock+1 : clock+1+len(call.reads)]
	locks := reply[clock+1+len(call.reads):]
	for n, i := range call.reads {
		r := &records[i]
		r.Position, r.Now = position, now
		if v, ok := values[n].(string); ok {
			r.Value = []byte(v)
		}
		r.Locks = make([]int64, len(reads[i].Locks))
		for j := range r.Locks {
			r.Locks[j] = remaining(locks[j])
		}
		locks = locks[len(r.Locks):]
	}
	return nil
}

// remaining reads what PTTL answered. Redis counts whole milliseconds and keeps a key
// through its last one, which it calls zero. A key without an expiry, which no commit
// leaves, is no lock: the view knows when the lock ends.
func remaining(pttl any) int64 {
	ms, ok := pttl.(int64)
	switch {
	case !ok || ms < 0:
		return 0
	case ms == 0:
		return 1
	}
	return ms
}
