package snapshot

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"

	"github.com/pinstatus/pinstatus/projector/view"
)

// writer writes a file from its beginning to its end. It holds no more than one portion of
// views. After an error it is of no more use.
type writer struct {
	out    *bufio.Writer
	digest *xxhash.Digest
	offset int64
	views  int // of all partitions

	portion view.Writer // views that wait for their block
	count   int         // how many
	section section     // so far
	scratch []byte
}

// newWriter begins a file with its header.
func newWriter(out io.Writer, h *header) (*writer, error) {
	digest := xxhash.New()
	w := &writer{out: bufio.NewWriterSize(io.MultiWriter(out, digest), 256<<10), digest: digest, offset: blockFrom}
	if _, err := w.out.WriteString(magic); err != nil {
		return nil, err
	}
	if err := w.out.WriteByte(FormatVersion); err != nil {
		return nil, err
	}
	return w, w.text(blockHeader, h)
}

// add writes a view of the partition that the next call of endPartition names.
func (w *writer) add(k view.Key, value []byte) error {
	size := len(k.Tenant) + len(k.ID) + len(value)
	if size > maxViews/2 {
		return fmt.Errorf("the view with the key hash %016x has %d bytes: more than a snapshot holds", k.Hash(), len(value))
	}
	if w.count == portionViews || w.count > 0 && len(w.portion.Buf)+size > portionBytes {
		if err := w.flush(); err != nil {
			return err
		}
	}
	appendView(&w.portion, k, value)
	w.count++
	return nil
}

// flush writes the block of the views that wait.
func (w *writer) flush() error {
	if w.count == 0 {
		return nil
	}
	if err := w.block(blockViews, w.portion.Buf); err != nil {
		return err
	}
	w.section.Views += w.count
	w.section.Portions++
	w.portion.Buf, w.count = w.portion.Buf[:0], 0
	return nil
}

// endPartition says that the views added since the last partition are all of p's up to a
// position.
func (w *writer) endPartition(p int, pos view.Position) error {
	if err := w.flush(); err != nil {
		return err
	}
	s := w.section
	w.section = section{}
	s.Partition, s.Position = p, pos
	w.views += s.Views
	return w.text(blockPartition, &s)
}

// close ends the file.
func (w *writer) close() error {
	if err := w.out.Flush(); err != nil { // so that the digest has it
		return err
	}
	if err := w.text(blockEnd, &end{Views: w.views, Digest: hexDigest(w.digest.Sum64())}); err != nil {
		return err
	}
	return w.out.Flush()
}

func hexDigest(sum uint64) string { return fmt.Sprintf("%016x", sum) }

func (w *writer) text(kind byte, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return w.block(kind, text)
}

func (w *writer) block(kind byte, payload []byte) error {
	head := append(w.scratch[:0], kind)
	head = binary.LittleEndian.AppendUint32(head, uint32(len(payload))) //nolint:gosec // bounded by maxViews
	for _, part := range [...][]byte{
		head, payload, binary.LittleEndian.AppendUint32(nil, checksum(w.offset, head, payload)),
	} {
		if _, err := w.out.Write(part); err != nil {
			return err
		}
		w.offset += int64(len(part))
	}
	w.scratch = head
	return nil
}
