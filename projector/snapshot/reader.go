package snapshot

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"

	"github.com/pinstatus/pinstatus/projector/view"
)

// contents are what a file turned out to hold when it was read through.
type contents struct {
	header   header
	sections []section // by partition
	starts   []int64   // by partition: offset of its first block
	end      end
}

// block is one block of a file.
type block struct {
	offset  int64
	kind    byte
	payload []byte // until the next one is read
}

func (b *block) damaged(format string, args ...any) error { return damaged(b.offset, format, args...) }

// text reads a block of JSON.
func (b *block) text(v any) error {
	if err := json.Unmarshal(b.payload, v); err != nil {
		return b.damaged("%v", err)
	}
	return nil
}

// blocks reads the blocks of a file one after the other, from an offset on.
type blocks struct {
	in     io.Reader
	size   int64 // of the file
	offset int64
	buf    bytes.Buffer
}

// next reads one block. The error is a *DamagedError, or one of reading.
func (r *blocks) next() (*block, error) {
	b := &block{offset: r.offset}
	var head [blockHead]byte
	if r.size-r.offset < blockHead+blockTail {
		return nil, b.damaged("the file ends here, of %d bytes: it has been cut off", r.size)
	}
	if err := r.read(b, head[:]); err != nil {
		return nil, err
	}
	b.kind = head[0]
	length := int64(binary.LittleEndian.Uint32(head[1:]))
	most := int64(maxText)
	switch b.kind {
	case blockViews:
		most = maxViews
	case blockHeader, blockPartition, blockEnd:
	default:
		return nil, b.damaged("no block begins with the byte %#02x", b.kind)
	}
	switch {
	case length > most:
		return nil, b.damaged("a block of %d bytes, and %d are the most", length, most)
	case length > r.size-r.offset-blockHead-blockTail:
		return nil, b.damaged("a block of %d bytes reaches beyond the end of the file, of %d bytes: it has been cut off", length, r.size)
	}
	// Grown by what is really there: the size may be a lie too.
	r.buf.Reset()
	if n, err := io.CopyN(&r.buf, r.in, length+blockTail); err != nil {
		return nil, r.failed(b, err, n)
	}
	b.payload = r.buf.Bytes()[:length]
	if binary.LittleEndian.Uint32(r.buf.Bytes()[length:]) != checksum(b.offset, head[:], b.payload) {
		return nil, b.damaged("the checksum is another")
	}
	r.offset += blockHead + length + blockTail
	return b, nil
}

func (r *blocks) read(b *block, into []byte) error {
	n, err := io.ReadFull(r.in, into)
	if err != nil {
		return r.failed(b, err, int64(n))
	}
	return nil
}

func (r *blocks) failed(b *block, err error, n int64) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return b.damaged("the file ends %d bytes on: it has been cut off", n)
	}
	return fmt.Errorf("read at offset %d: %w", b.offset, err)
}

// readThrough reads a whole file and checks all of it but what only the fold can read of a
// view.
func readThrough(in io.ReaderAt, size int64) (*contents, error) {
	digest := xxhash.New()
	r := &blocks{in: io.TeeReader(bufferedAt(in, 0, size), digest), size: size, offset: blockFrom}
	if err := readMagic(r); err != nil {
		return nil, err
	}
	c := &contents{}
	if err := c.readHeader(r); err != nil {
		return nil, err
	}
	c.sections, c.starts = make([]section, c.header.Partitions), make([]int64, c.header.Partitions)
	views := 0
	for left := c.header.Partitions; left > 0; left-- {
		start := r.offset
		s, err := c.readSection(r)
		if err != nil {
			return nil, err
		}
		c.sections[s.Partition], c.starts[s.Partition] = *s, start
		views += s.Views
	}
	sum := digest.Sum64()
	b, err := r.next()
	switch {
	case err != nil:
		return nil, err
	case b.kind != blockEnd:
		return nil, b.damaged("block %q where the end has to be", b.kind)
	}
	if err := b.text(&c.end); err != nil {
		return nil, err
	}
	switch {
	case c.end.Views != views:
		return nil, b.damaged("%d views, and %d are said to be there", views, c.end.Views)
	case c.end.Digest != hexDigest(sum):
		return nil, b.damaged("the checksum of the whole file is another")
	case r.offset != size:
		return nil, damaged(r.offset, "%d bytes behind the end", size-r.offset)
	}
	return c, nil
}

// readHeader reads the header alone.
func readHeader(in io.ReaderAt, size int64) (*header, error) {
	r := &blocks{in: bufferedAt(in, 0, size), size: size, offset: blockFrom}
	if err := readMagic(r); err != nil {
		return nil, err
	}
	c := &contents{}
	return &c.header, c.readHeader(r)
}

func readMagic(r *blocks) error {
	var begin [blockFrom]byte
	if err := r.read(&block{}, begin[:]); err != nil {
		return err
	}
	if string(begin[:len(magic)]) != magic {
		return damaged(0, "this is no snapshot")
	}
	if v := int(begin[len(magic)]); v != FormatVersion {
		return &VersionError{v}
	}
	return nil
}

func (c *contents) readHeader(r *blocks) error {
	b, err := r.next()
	if err != nil {
		return err
	}
	if b.kind != blockHeader {
		return b.damaged("block %q where the header has to be", b.kind)
	}
	if err := b.text(&c.header); err != nil {
		return err
	}
	if n := c.header.Partitions; n < 1 || n > maxPartitions {
		return b.damaged("%d partitions", n)
	}
	return nil
}

// readSection reads the views of one partition, up to the block that says which.
func (c *contents) readSection(r *blocks) (*section, error) {
	got, partition := section{}, -1
	for {
		b, err := r.next()
		if err != nil {
			return nil, err
		}
		switch b.kind {
		case blockViews:
			got.Portions++
			err = eachView(b, func(k view.Key, _ []byte) error {
				got.Views++
				p := k.Partition(c.header.Partitions)
				if partition >= 0 && p != partition {
					return b.damaged("views of the partitions %d and %d", partition, p)
				}
				partition = p
				return nil
			})
			if err != nil {
				return nil, err
			}
		case blockPartition:
			s, err := c.checkSection(b, got)
			if err == nil && partition >= 0 && partition != s.Partition {
				err = b.damaged("the views are of partition %d, and said to be of %d", partition, s.Partition)
			}
			return s, err
		default:
			return nil, b.damaged("block %q among the views", b.kind)
		}
	}
}

// checkSection compares what a section's block says with what was there.
func (c *contents) checkSection(b *block, got section) (*section, error) {
	s := &section{}
	if err := b.text(s); err != nil {
		return nil, err
	}
	pos := &s.Position
	switch {
	case s.Partition < 0 || s.Partition >= c.header.Partitions:
		return nil, b.damaged("partition %d of %d", s.Partition, c.header.Partitions)
	case c.starts[s.Partition] != 0:
		return nil, b.damaged("partition %d for the second time", s.Partition)
	case s.Views != got.Views || s.Portions != got.Portions:
		return nil, b.damaged("%d views in %d portions, and %d in %d are said to be there", got.Views, got.Portions, s.Views, s.Portions)
	case pos.Stream != c.header.Stream || pos.Partitions != c.header.Partitions || pos.Codec != c.header.Codec:
		return nil, b.damaged("a position of another stream, number of partitions or codec than the header's")
	case pos.Refill != 0 || pos.Restoring != "" || pos.Next != 0:
		return nil, b.damaged("a position at which the views are not whole")
	}
	return s, nil
}

// eachView calls visit with each view of a block. The value is the block's.
func eachView(b *block, visit func(view.Key, []byte) error) error {
	rest := b.payload
	for n := 1; len(rest) > 0 || n == 1; n++ {
		k, value, after, ok := cutView(rest)
		if !ok || n > portionViews || len(value) == 0 || k.Kind != view.KindPIN && k.Kind != view.KindAccount {
			return b.damaged("view %d of the block makes no sense", n)
		}
		rest = after
		if err := visit(k, value); err != nil {
			return err
		}
	}
	return nil
}
