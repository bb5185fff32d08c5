package view

import (
	"encoding/binary"
	"fmt"
	"strconv"
)

// Notice tells query services that a commit moved a partition on. It is a hint: it may be
// lost, and whoever receives it reads again. A gap between To of one notice and From of
// the next says that one was lost.
type Notice struct {
	Generation uint64
	Partition  int
	Stream     int64    // creation time of the stream, Unix nanoseconds: its sequences From and To are
	From, To   uint64   // the partition's position before and after the commit
	Keys       []uint64 // Key.Hash of every view that the commit changed
}

// NoticeSubject is the core NATS subject of the notices of one partition.
func NoticeSubject(g Generation, p int) string {
	return "pinstatus.notices." + strconv.FormatUint(g.Number, 10) + "." + strconv.Itoa(p)
}

// Append appends the notice's wire form: all integers little-endian, 8 bytes each.
func (n *Notice) Append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, n.Generation)
	b = binary.LittleEndian.AppendUint64(b, uint64(n.Partition)) //nolint:gosec // never negative
	b = binary.LittleEndian.AppendUint64(b, uint64(n.Stream))    //nolint:gosec // read back as it was
	b = binary.LittleEndian.AppendUint64(b, n.From)
	b = binary.LittleEndian.AppendUint64(b, n.To)
	for _, k := range n.Keys {
		b = binary.LittleEndian.AppendUint64(b, k)
	}
	return b
}

// ParseNotice reads a notice's wire form; the keys are appended to n.Keys[:0].
func ParseNotice(b []byte, n *Notice) error {
	if len(b) < 40 || len(b)%8 != 0 {
		return fmt.Errorf("change notice of %d bytes: not five integers and a list of hashes", len(b))
	}
	n.Generation = binary.LittleEndian.Uint64(b)
	n.Partition = int(binary.LittleEndian.Uint64(b[8:])) //nolint:gosec // checked by the reader against its partitions
	n.Stream = int64(binary.LittleEndian.Uint64(b[16:])) //nolint:gosec // as it was written
	n.From = binary.LittleEndian.Uint64(b[24:])
	n.To = binary.LittleEndian.Uint64(b[32:])
	n.Keys = n.Keys[:0]
	for b = b[40:]; len(b) > 0; b = b[8:] {
		n.Keys = append(n.Keys, binary.LittleEndian.Uint64(b))
	}
	return nil
}
