package redisstore

import (
	"fmt"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/view"
)

// tornPrefix begins the mark that stands in the place of a position while a commit is
// under way. It is no position record's beginning.
const tornPrefix = "torn"

// TornError says that a commit failed halfway on a Redis that does not keep the rules that
// package redisstore builds on, so that nothing is known of the partition's views. The very
// same commit, tried again, ends that; else only a new generation does.
type TornError struct {
	Partition int
	Mark      string // names the commit
}

func (e *TornError) Error() string {
	return fmt.Sprintf("partition %d was left in the middle of a commit (%s): "+
		"the projector that made it can finish it, else the views must be rebuilt", e.Partition, e.Mark)
}

// Unwrap makes it a projector.ErrTorn.
func (e *TornError) Unwrap() error { return projector.ErrTorn }

// tornMark is the mark of the commit between two positions. The events between them and the
// policy of To say what the commit writes, so two commits with one mark write the same.
func tornMark(from, to view.Position) string {
	var d xxhash.Digest
	d.Reset()
	_, _ = d.Write(from.Append(nil))
	_, _ = d.Write(to.Append(nil))
	return fmt.Sprintf("%s %d to %d %016x", tornPrefix, from.Sequence, to.Sequence, d.Sum64())
}

// formatPosition is the stored form of a position, empty for none.
func formatPosition(p view.Position) string {
	if p == (view.Position{}) {
		return ""
	}
	return string(p.Append(make([]byte, 0, 256)))
}

// parsePosition reads what stands in the place of partition p's position.
func parsePosition(p int, record string) (view.Position, error) {
	if strings.HasPrefix(record, tornPrefix) {
		return view.Position{}, &TornError{Partition: p, Mark: record}
	}
	pos, err := view.ParsePosition([]byte(record))
	var again [256]byte
	if err == nil && record != "" && string(pos.Append(again[:0])) != record {
		// Every commit would be refused: commits compare the record byte for byte.
		err = fmt.Errorf("position record %q was not written by this version", record)
	}
	return pos, err
}
