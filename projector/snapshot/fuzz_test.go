package snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/pinstatus/pinstatus/projector/view"
)

// FuzzFile: whatever a file holds, reading ends with an answer.
func FuzzFile(f *testing.F) {
	data := sample(f)
	f.Add(data)
	f.Add(data[:len(data)/2])
	f.Add(append([]byte(magic), 2))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		checkReading(t, data)
	})
}

// FuzzBlocks does so with blocks whose frames and checksums are right: each record is a kind,
// a length, and as many bytes of payload.
func FuzzBlocks(f *testing.F) {
	var blocks []byte
	for rest := sample(f)[blockFrom:]; len(rest) > 0; {
		n := binary.LittleEndian.Uint32(rest[1:])
		blocks = append(blocks, rest[:blockHead+n]...)
		rest = rest[blockHead+n+blockTail:]
	}
	f.Add(blocks)
	f.Fuzz(func(t *testing.T, blocks []byte) {
		data := append([]byte(magic), FormatVersion)
		for len(blocks) >= blockHead {
			n := min(int(binary.LittleEndian.Uint32(blocks[1:])&0xffff), len(blocks)-blockHead)
			head := []byte{blocks[0], byte(n), byte(n >> 8), 0, 0}
			payload := blocks[blockHead : blockHead+n]
			sum := checksum(int64(len(data)), head, payload)
			data = binary.LittleEndian.AppendUint32(append(append(data, head...), payload...), sum)
			blocks = blocks[blockHead+n:]
		}
		checkReading(t, data)
	})
}

func checkReading(t *testing.T, data []byte) {
	t.Helper()
	_, err := dump(bytes.NewReader(data), int64(len(data)))
	if err == nil {
		return
	}
	var damage *DamagedError
	var version *VersionError
	if !errors.As(err, &damage) && !errors.As(err, &version) {
		t.Fatalf("neither damage nor another version: %v", err)
	}
	if damage != nil && (damage.Offset < 0 || damage.Offset > int64(len(data))) {
		t.Fatalf("offset %d of %d bytes", damage.Offset, len(data))
	}
}

// FuzzView: what was appended is cut off again, whatever follows.
func FuzzView(f *testing.F) {
	f.Add("acme", "id", []byte("value"), []byte("rest"))
	f.Fuzz(func(t *testing.T, tenant, id string, value, rest []byte) {
		k := view.Key{Kind: view.KindAccount, Tenant: tenant, ID: id}
		var w view.Writer
		appendView(&w, k, value)
		gotKey, gotValue, gotRest, ok := cutView(append(w.Buf, rest...))
		if !ok || gotKey != k || !bytes.Equal(gotValue, value) || !bytes.Equal(gotRest, rest) {
			t.Errorf("got %v %q %q %v", gotKey, gotValue, gotRest, ok)
		}
		_, _, _, _ = cutView(rest)
	})
}
