package projector

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/pinstatus/pinstatus/consumer"
)

// PartitionStatus says where one partition stands in this process.
type PartitionStatus struct {
	Partition int  `json:"partition"`
	Held      bool `json:"held"` // this projector's; else nothing more is known of it

	Sequence  uint64      `json:"seq"`                 // position: the views include every event up to here
	Refill    uint64      `json:"refill,omitempty"`    // below this sequence the views are not whole
	Restoring string      `json:"restoring,omitempty"` // "<snapshot>/<portions>" while views are being restored
	Sealed    uint64      `json:"sealed,omitempty"`    // number of the generation that takes over
	Alarm     AlarmReason `json:"alarm,omitempty"`     // why it has stopped, if an operator has to decide
	Fault     string      `json:"fault,omitempty"`     // why it is not worked on, in words
}

// Status says where each partition of the generation stands.
func (p *Projector) Status() []PartitionStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]PartitionStatus, p.generation.Partitions)
	for number := range all {
		s := &all[number]
		s.Partition = number
		if pt := p.own[number]; pt != nil {
			pt.status(s)
		}
	}
	return all
}

func (pt *partition) status(s *PartitionStatus) {
	pt.mu.Lock()
	defer pt.mu.Unlock()
	s.Held = true
	s.Sequence, s.Refill, s.Restoring, s.Sealed = pt.shown.Sequence, pt.shown.Refill, pt.shown.Restoring, pt.shown.Next
	if err := pt.why(); err != nil {
		s.Alarm, s.Fault = alarmOf(err), err.Error()
	}
}

// Ready is nil while nothing keeps any of the projector's partitions from going on. A
// partition that is being refilled does not count: see Refilling. Having none is fine.
func (p *Projector) Ready() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.generation.Partitions == 0 {
		return errNotServing
	}
	var faults []fault
	for number, pt := range p.own {
		pt.mu.Lock()
		if err := pt.why(); err != nil {
			faults = append(faults, fault{number, err})
		}
		pt.mu.Unlock()
	}
	return worst(faults)
}

// Refilling is the number of this projector's partitions whose views are not whole yet, of
// how many.
func (p *Projector) Refilling() (refilling, of int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pt := range p.own {
		pt.mu.Lock()
		if pt.shown.Refilling() {
			refilling++
		}
		pt.mu.Unlock()
	}
	return refilling, len(p.own)
}

// fault is why one partition is not worked on.
type fault struct {
	partition int
	err       error
}

// worst is the gravest of faults, with the number of the others; nil if there are none.
func worst(faults []fault) error {
	if len(faults) == 0 {
		return nil
	}
	f := slices.MinFunc(faults, func(a, b fault) int {
		return cmp.Or(gravity(a.err)-gravity(b.err), a.partition-b.partition)
	})
	if more := len(faults) - 1; more > 0 {
		return fmt.Errorf("partition %d: %w; and %d more", f.partition, f.err, more)
	}
	return fmt.Errorf("partition %d: %w", f.partition, f.err)
}

// gravity is least for what an operator has to see first.
func gravity(err error) int {
	switch {
	case alarmOf(err) != "":
		return 0
	case errors.Is(err, errNotOpened), errors.Is(err, consumer.ErrRewind):
		return 2
	}
	return 1
}

// errNotOpened is the fault of a partition that has not been opened yet.
var errNotOpened = errors.New("position not read yet")

// why is the reason for which the partition is not worked on, nil if there is none. The
// caller has locked it.
func (pt *partition) why() error {
	if pt.waiting != nil {
		return fmt.Errorf("view store: %w", pt.waiting)
	}
	return pt.fault
}

// opened keeps what came of an attempt to open. A fault of handling outlives a success:
// the batch may come to the same end.
func (pt *partition) opened(err error) {
	pt.mu.Lock()
	defer pt.mu.Unlock()
	if err == nil && pt.inHandle {
		return
	}
	pt.fail(err, false)
}

// handled keeps what came of a batch.
func (pt *partition) handled(err error) {
	pt.mu.Lock()
	defer pt.mu.Unlock()
	if err != nil || pt.fault != nil {
		pt.fail(err, err != nil)
	}
}

func (pt *partition) fail(err error, inHandle bool) {
	pt.projector.metrics.alarm(alarmOf(pt.fault), alarmOf(err))
	pt.fault, pt.inHandle = err, inHandle
}

// storeFailed keeps the failure of the store that the partition waits on; nil ends it.
func (pt *partition) storeFailed(err error) {
	pt.mu.Lock()
	pt.waiting = err
	pt.mu.Unlock()
}
