package snapshot

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"sync"

	"github.com/pinstatus/pinstatus/projector/view"
)

// record is a copy of one view, as it was when its partition was at a sequence.
type record struct {
	at    uint64
	key   view.Key
	value []byte // nil: there was no such view
}

// spool is a file of copies, of all partitions. It is gone once it is closed.
type spool struct {
	file *os.File

	mu  sync.Mutex
	end int64
}

// write appends to the spool, and returns where.
func (s *spool) write(b []byte) (offset int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	offset = s.end
	_, err = s.file.WriteAt(b, offset)
	s.end += int64(len(b))
	return offset, err
}

// clear forgets all copies, of which nobody may know any more.
func (s *spool) clear() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end = 0
	return s.file.Truncate(0)
}

func newSpool(dir string) (*spool, error) {
	f, err := os.CreateTemp(dir, "copies-*")
	if err != nil {
		return nil, err
	}
	return &spool{file: f}, nil
}

func (s *spool) close() error {
	err := s.file.Close()
	if removed := os.Remove(s.file.Name()); err == nil {
		err = removed
	}
	return err
}

// copies are those of one partition, in the order in which they were made. Only a segment of
// them is in memory.
type copies struct {
	spool    *spool
	buf      view.Writer
	segments []segment
	records  int
}

// segment is a run of records in the spool.
type segment struct {
	offset int64
	size   int
}

const segmentSize = 32 << 10 // bytes; the last record may reach beyond

// reset forgets all copies.
func (c *copies) reset() { *c = copies{spool: c.spool, buf: view.Writer{Buf: c.buf.Buf[:0]}} }

func (c *copies) add(at uint64, k view.Key, value []byte) error {
	c.buf.Uint(at)
	appendView(&c.buf, k, value)
	c.records++
	if len(c.buf.Buf) < segmentSize {
		return nil
	}
	return c.flush()
}

func (c *copies) flush() error {
	if len(c.buf.Buf) == 0 {
		return nil
	}
	offset, err := c.spool.write(c.buf.Buf)
	if err != nil {
		return err
	}
	c.segments = append(c.segments, segment{offset, len(c.buf.Buf)})
	c.buf.Buf = c.buf.Buf[:0]
	return nil
}

// each calls visit with every copy and its number, in order. The value holds until visit
// returns.
func (c *copies) each(visit func(n int, r *record) error) error {
	if err := c.flush(); err != nil {
		return err
	}
	n := 0
	var buf []byte
	for _, s := range c.segments {
		if cap(buf) < s.size {
			buf = make([]byte, s.size)
		}
		buf = buf[:s.size]
		if _, err := c.spool.file.ReadAt(buf, s.offset); err != nil && err != io.EOF {
			return err
		}
		for rest := buf; len(rest) > 0; n++ {
			at, size := binary.Uvarint(rest)
			k, value, after, ok := cutView(rest[max(size, 0):])
			if size <= 0 || !ok {
				return errors.New("the file of copies is damaged")
			}
			if rest = after; len(value) == 0 {
				value = nil
			}
			if err := visit(n, &record{at, k, value}); err != nil {
				return err
			}
		}
	}
	return nil
}

// newest is which of the copies are the newest of their view. It looks for them in passes,
// each for a part of the keys, so that no more than about limit keys are in memory.
func (c *copies) newest(limit int) (set, error) {
	newest := make(set, (c.records+63)/64)
	passes := uint64(c.records/limit + 1) //nolint:gosec // positive
	for pass := range passes {
		last := map[view.Key]int{}
		if err := c.each(func(n int, r *record) error {
			if r.key.Hash()%passes == pass {
				last[r.key] = n
			}
			return nil
		}); err != nil {
			return nil, err
		}
		for _, n := range last {
			newest.add(n)
		}
	}
	return newest, nil
}

// set is a set of small numbers.
type set []uint64

func (s set) add(n int)      { s[n/64] |= 1 << (n % 64) }
func (s set) has(n int) bool { return s[n/64]&(1<<(n%64)) != 0 }
