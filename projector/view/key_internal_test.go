package view

import (
	"slices"
	"testing"
)

func TestCRC16(t *testing.T) {
	for s, want := range map[string]uint16{"": 0, "123456789": 0x31C3} {
		if got := crc16(s); got != want {
			t.Errorf("crc16(%q) = %#x, want %#x", s, got, want)
		}
	}
	// As CLUSTER KEYSLOT answers.
	for s, want := range map[string]int{"foo": 12182, "bar": 5061, "somekey": 11058, "hash_tag": 2515} {
		if got := int(crc16(s)) % clusterSlots; got != want {
			t.Errorf("slot of %q is %d, want %d", s, got, want)
		}
	}
}

// The tag of partition p lies in the p-th of equal shares of the slots.
func TestTagsLieInTheirShares(t *testing.T) {
	for _, partitions := range []int{1, 2, 3, 16, 64, 256} {
		for _, generation := range []uint64{0, 1, 2, 1<<64 - 1} {
			ks := NewKeyspace("", generation, partitions)
			seen := map[string]bool{}
			for p, tag := range ks.tags {
				slot := int(crc16(tag)) % clusterSlots
				from, to := p*clusterSlots/partitions, (p+1)*clusterSlots/partitions
				if slot < from || slot >= to {
					t.Errorf("generation %d, partition %d of %d: tag %s is in slot %d, want one of %d to %d",
						generation, p, partitions, tag, slot, from, to-1)
				}
				if seen[tag] {
					t.Errorf("two of %d partitions have the tag %s", partitions, tag)
				}
				seen[tag] = true
			}
		}
	}
}

// Sixteen partitions are as many on each of equal shards.
func TestPartitionsSpreadOverShards(t *testing.T) {
	for _, shards := range []int{2, 4, 8, 16} {
		for generation := range uint64(20) {
			on := make([]int, shards)
			for _, tag := range NewKeyspace("", generation, 16).tags {
				on[int(crc16(tag))%clusterSlots*shards/clusterSlots]++
			}
			if want := slices.Repeat([]int{16 / shards}, shards); !slices.Equal(on, want) {
				t.Errorf("generation %d has %v partitions on %d shards, want %v", generation, on, shards, want)
			}
		}
	}
}
