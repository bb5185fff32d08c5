package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/letters"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/lease"
	"github.com/pinstatus/pinstatus/projector/memstore"
	"github.com/pinstatus/pinstatus/projector/snapshot"
)

// startProjector reads a fair share of the stream's partitions into the store. Dir, where
// snapshots are, may be nil.
func (s *service) startProjector(dir *snapshot.Dir) (*projector.Projector, error) {
	rejected, err := consumer.NewDeadLetters(consumer.DeadLetterOptions{
		JetStream: s.jetStream, Log: s.log, Registerer: s.reg,
	})
	if err != nil {
		return nil, err
	}
	o := projector.Options{
		Store: s.store, DeadLetters: rejected, Notifier: s.nc,
		Policy: s.policy.Load, Log: s.log, Registerer: s.reg,
	}
	if dir != nil {
		o.Snapshots = dir
	}
	p, err := projector.New(o)
	if err != nil {
		return nil, err
	}
	c, err := consumer.New(consumer.Options{
		JetStream: s.jetStream, Handler: p, DrainTimeout: drainWithin, Log: s.log, Registerer: s.reg,
	})
	if err != nil {
		return nil, err
	}
	worker := projector.NewWorker(p, c, s.streamPartitions)
	owner := ownerID()
	leases, err := lease.New(lease.Options{
		Store: s.store, Generations: worker, Work: worker, Owner: owner,
		Able: s.connected, Unfit: p.Unfit, Fresh: s.fresh,
		LeaseTime: s.opts.leaseTime, StopTime: drainWithin + time.Second,
		Log: s.log, Registerer: s.reg,
	})
	if err != nil {
		return nil, err
	}
	s.admin.add(check{"nats", s.connected}, check{"event stream", c.Ready}, check{"projector", p.Ready}, check{"leases", leases.Ready})
	s.admin.handle("GET /partitions", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(struct { // fails only with the connection
			Owner      string                      `json:"owner"`
			Partitions []projector.PartitionStatus `json:"partitions"`
		}{owner, leftToOthers(p.Status(), leases.Unfit())})
	})
	census, err := letters.NewCensus(letters.CensusOptions{JetStream: s.jetStream, Log: s.log})
	if err == nil {
		err = s.reg.Register(census)
	}
	if err != nil {
		return nil, err
	}
	s.log.Info("sharing the partitions by leases", zap.String("owner", owner))
	s.start("dead letter census", census.Run)
	s.start("projector", c.Run)
	s.start("leases", leases.Run) // ends first, and hands over what is in hand
	return p, nil
}

// leftToOthers completes the status of partitions that this process does not have by why it
// would not be fit for them.
func leftToOthers(all []projector.PartitionStatus, unfit map[int]error) []projector.PartitionStatus {
	for i := range all {
		s := &all[i]
		why := unfit[s.Partition]
		if why == nil || s.Held {
			continue
		}
		if alarm := new(projector.Alarm); errors.As(why, &alarm) {
			s.Alarm = alarm.Reason
		}
		s.Fault = "left to other projectors: " + why.Error()
	}
	return all
}

// drainWithin is how long the batches in hand may take where partitions are given up. It
// leaves the other parts enough of stopWithin.
const drainWithin = 4 * time.Second

// fresh reports whether there is nothing yet of which a generation could have been made, or
// the views are in the memory of this process.
func (s *service) fresh(ctx context.Context) (bool, error) {
	if _, own := s.store.(*memstore.Store); own {
		return true, nil
	}
	stream, err := consumer.Describe(ctx, s.jetStream)
	return err == nil && stream.LastSequence == 0, err
}

// streamPartitions is over how many partitions the stream spreads keys.
func (s *service) streamPartitions(ctx context.Context) (int, error) {
	stream, err := consumer.Describe(ctx, s.jetStream)
	return stream.Partitions, err
}

// snapshotDir is the folder of snapshots to restore from: the one given, else the one beside
// an embedded server's stream, else none.
func (s *service) snapshotDir() *snapshot.Dir {
	path := s.opts.snapshots
	if path == "" && s.opts.dataDir != "" && s.opts.natsURL == "" {
		path = filepath.Join(s.opts.dataDir, "snapshots")
	}
	if path == "" {
		return nil
	}
	return snapshot.NewDir(path, s.log)
}

// keepSnapshots saves a snapshot of the views now and then while the stream's limits may
// remove what they were made of.
func (s *service) keepSnapshots(dir *snapshot.Dir) error {
	k, err := snapshot.NewKeeper(snapshot.KeeperOptions{
		Source:     snapshot.Source{Store: s.store, Events: snapshot.JetStream(s.jetStream), Policy: s.policy.Load, Log: s.log},
		Dir:        dir,
		Registerer: s.reg,
	})
	if err != nil {
		return err
	}
	s.start("snapshots", k.Run)
	return nil
}

// ownerID names this process among the projectors: its host's name, which operators know,
// and something that no other process has.
func ownerID() string {
	host, err := os.Hostname()
	if err != nil {
		host = "projector"
	}
	return host + "-" + strings.ToLower(rand.Text()[:8])
}
