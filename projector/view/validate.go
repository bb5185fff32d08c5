package view

import "fmt"

// maxPartitions is one for each slot of Redis Cluster.
const maxPartitions = clusterSlots

// Validate is an error if there can be no such generation.
func (g Generation) Validate() error {
	if g.Number == 0 || g.Partitions < 1 || g.Partitions > maxPartitions {
		return fmt.Errorf("generation %d of %d partitions: not a generation", g.Number, g.Partitions)
	}
	return nil
}

// Validate is an error if the record names no serving generation, half a generation beside
// it, or the serving one in another role too.
func (s Serving) Validate() error {
	if err := s.Generation.Validate(); err != nil {
		return err
	}
	for _, g := range []Generation{s.Next, s.Previous, s.Dropping} {
		if g == (Generation{}) {
			continue
		}
		if err := g.Validate(); err != nil {
			return err
		}
		if g.Number == s.Number {
			return fmt.Errorf("generation %d serves and is to be replaced or dropped", g.Number)
		}
	}
	return nil
}
