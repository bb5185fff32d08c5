package consumer

import (
	"fmt"
	"slices"
)

// Assignment says which partitions are to be read. The number of partitions is that of the
// views that are made of them: a message's partition is computed from its subject, and only
// where the stream spreads keys over as many can the broker be asked for one partition alone.
// Elsewhere everything is read, and what is not assigned left out.
type Assignment struct {
	Partitions int   // of how many
	Own        []int // the ones to read, sorted; all of them is read fastest
}

// All are all of so many partitions.
func All(partitions int) Assignment {
	a := Assignment{Partitions: partitions, Own: make([]int, partitions)}
	for i := range a.Own {
		a.Own[i] = i
	}
	return a
}

func (a *Assignment) validate() error {
	if a.Partitions < 1 || a.Partitions > MaxPartitions {
		return fmt.Errorf("assignment: %d partitions, want 1 to %d", a.Partitions, MaxPartitions)
	}
	last := -1
	for _, p := range a.Own {
		if p <= last || p >= a.Partitions {
			return fmt.Errorf("assignment: partitions %v of %d are not sorted, or not among them", a.Own, a.Partitions)
		}
		last = p
	}
	return nil
}

// whole reports whether it is every partition.
func (a *Assignment) whole() bool { return len(a.Own) == a.Partitions }

func (a *Assignment) equal(b *Assignment) bool {
	return a.Partitions == b.Partitions && slices.Equal(a.Own, b.Own)
}

// only is the assignment of one of the partitions.
func (a *Assignment) only(p int) Assignment {
	return Assignment{Partitions: a.Partitions, Own: []int{p}}
}
