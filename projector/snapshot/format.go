package snapshot

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
)

// FormatVersion is the version of the file's form that is written. A reader refuses any
// other.
const FormatVersion = 1

// magic is what a file begins with, before the byte of its version.
const magic = "pinsnap"

// Bounds of a file. A reader refuses what lies beyond, so that a damaged length asks for no
// memory, and a writer never gets there.
const (
	maxPartitions = 1024     // as of a stream
	maxText       = 64 << 10 // bytes of a block of JSON
	maxViews      = 64 << 20 // bytes of a block of views: one view larger than a portion
)

// Bounds of a portion of views, which one commit of a store takes: a store does nothing else
// meanwhile. A single view may be larger.
const (
	portionViews = 512
	portionBytes = 1 << 20
)

// The kinds of block.
const (
	blockHeader    = 'H'
	blockViews     = 'V'
	blockPartition = 'P'
	blockEnd       = 'E'
)

// Sizes of what surrounds the payload of a block: kind and length, and the checksum.
const (
	blockHead = 1 + 4
	blockTail = 4
	blockFrom = int64(len(magic) + 1) // offset of the first block
)

// header is the first block: what the views are of.
type header struct {
	Created    time.Time `json:"created"`    // when the saving began
	Stream     int64     `json:"stream"`     // creation time of the stream, Unix nanoseconds: its identity
	Partitions int       `json:"partitions"` // of the generation that was copied
	Generation uint64    `json:"generation"` // its number, to be looked at
	Codec      int       `json:"codec"`      // view.CodecVersion
	First      uint64    `json:"first"`      // the stream's first and last sequence then
	Last       uint64    `json:"last"`
	Missing    uint64    `json:"missing,omitempty"` // messages that the stream lacked then without an account
}

// section is the block behind a partition's views: that they are whole, and up to where.
type section struct {
	Partition int           `json:"partition"`
	Views     int           `json:"views"`
	Portions  int           `json:"portions"`
	Position  view.Position `json:"position"`
}

// end is the last block: that the file is whole.
type end struct {
	Views  int    `json:"views"`
	Digest string `json:"xxhash64"` // of all bytes before this block, sixteen hexadecimal digits
}

// castagnoli is the polynomial that processors have an instruction for.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is the checksum of a block with this head at an offset: a block in the place of
// another is as wrong as a damaged one.
func checksum(offset int64, head, payload []byte) uint32 {
	var at [8]byte
	binary.LittleEndian.PutUint64(at[:], uint64(offset)) //nolint:gosec // never negative
	sum := crc32.Update(0, castagnoli, at[:])
	sum = crc32.Update(sum, castagnoli, head)
	return crc32.Update(sum, castagnoli, payload)
}

// appendView appends a view's form in a block.
func appendView(w *view.Writer, k view.Key, value []byte) {
	w.Byte(byte(k.Kind))
	w.String(k.Tenant)
	w.String(k.ID)
	w.Uint(uint64(len(value)))
	w.Buf = append(w.Buf, value...)
}

// cutView reads what appendView wrote off the front of b. It is false if that makes no sense.
// The value is part of b.
func cutView(b []byte) (k view.Key, value, rest []byte, ok bool) {
	if len(b) == 0 {
		return k, nil, nil, false
	}
	k.Kind = view.Kind(b[0])
	tenant, b, ok1 := cutBytes(b[1:])
	id, b, ok2 := cutBytes(b)
	value, b, ok3 := cutBytes(b)
	k.Tenant, k.ID = string(tenant), string(id)
	return k, value, b, ok1 && ok2 && ok3
}

// cutBytes reads bytes off the front of b that their length stands before.
func cutBytes(b []byte) (bytes, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) { //nolint:gosec // never negative
		return nil, nil, false
	}
	end := size + int(n) //nolint:gosec // bounded by len(b)
	return b[size:end], b[end:], true
}

// DamagedError says where a file is not what a writer wrote.
type DamagedError struct {
	Offset  int64 // in bytes; of the block that the damage is in
	Problem string
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("damaged at offset %d: %s", e.Offset, e.Problem)
}

func damaged(offset int64, format string, args ...any) error {
	return &DamagedError{Offset: offset, Problem: fmt.Sprintf(format, args...)}
}

// VersionError says that a file is of another version of the format.
type VersionError struct{ Version int }

func (e *VersionError) Error() string {
	return fmt.Sprintf("format version %d, and this program reads %d", e.Version, FormatVersion)
}
