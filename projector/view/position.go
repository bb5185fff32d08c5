package view

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// CodecVersion is the version of the binary form of views. A projector does not commit
// onto views of another version: a rebuild changes it.
const CodecVersion = 1

// Position is the position record of a partition: the views of the partition include
// every event up to Sequence, and none beyond. The zero Position stands for no record.
type Position struct {
	Sequence   uint64 `json:"seq"`
	Witness    int64  `json:"witness"`    // broker's timestamp of the message at Sequence, Unix nanoseconds
	Stream     int64  `json:"stream"`     // creation time of the stream, Unix nanoseconds: its identity
	Partitions int    `json:"partitions"` // how many the stream's keys are spread over
	Codec      int    `json:"codec"`      // CodecVersion
	Policy     uint64 `json:"policy"`     // version of the policy that the newest events were folded with
	PolicyHash string `json:"policyHash"`
	Refill     uint64 `json:"refill,omitempty"` // below this sequence the views are not whole: nothing can be said

	// Restoring is set while views are being brought from a snapshot: its id, and how many of
	// its portions have come ("<id>/<portions>"). Nothing can be said until that is done.
	Restoring string `json:"restoring,omitempty"`

	// Next is set on a partition of a generation that has been sealed: the number of the
	// generation that takes over. Its views stay as they are at Sequence, and nobody commits
	// on them any more. They may be read for as long as the other one does not serve.
	Next uint64 `json:"next,omitempty"`
}

// Refilling reports whether the partition has lost views that the projector has not
// folded again yet, or has never had any.
func (p Position) Refilling() bool {
	return p.Sequence < p.Refill || p.Restoring != "" || p == Position{}
}

// Sealed reports whether another generation takes over from this one.
func (p Position) Sealed() bool { return p.Next != 0 }

// Append appends the record's stored form, equal for equal records: commits compare it as
// bytes.
func (p Position) Append(b []byte) []byte {
	b = append(b, `{"seq":`...)
	b = strconv.AppendUint(b, p.Sequence, 10)
	b = append(b, `,"witness":`...)
	b = strconv.AppendInt(b, p.Witness, 10)
	b = append(b, `,"stream":`...)
	b = strconv.AppendInt(b, p.Stream, 10)
	b = append(b, `,"partitions":`...)
	b = strconv.AppendInt(b, int64(p.Partitions), 10)
	b = append(b, `,"codec":`...)
	b = strconv.AppendInt(b, int64(p.Codec), 10)
	b = append(b, `,"policy":`...)
	b = strconv.AppendUint(b, p.Policy, 10)
	b = append(b, `,"policyHash":`...)
	b = appendText(b, p.PolicyHash)
	if p.Refill != 0 {
		b = append(b, `,"refill":`...)
		b = strconv.AppendUint(b, p.Refill, 10)
	}
	if p.Restoring != "" {
		b = append(b, `,"restoring":`...)
		b = appendText(b, p.Restoring)
	}
	if p.Next != 0 {
		b = append(b, `,"next":`...)
		b = strconv.AppendUint(b, p.Next, 10)
	}
	return append(b, '}')
}

// ParsePosition reads a record's stored form; empty input is no record. It takes any JSON of
// the record's members, and is quick with what Append writes: each read of a view pays for it.
func ParsePosition(b []byte) (Position, error) {
	if len(b) == 0 {
		return Position{}, nil
	}
	if p, ok := parseAppended(b); ok {
		return p, nil
	}
	var p Position
	if err := json.Unmarshal(b, &p); err != nil {
		return Position{}, fmt.Errorf("position record %q: %w", b, err)
	}
	return p, nil
}
