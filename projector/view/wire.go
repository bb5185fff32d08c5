package view

import (
	"encoding/binary"
	"errors"
	"math"
)

// Writer appends the stored form of views: variable-length integers, length-prefixed
// strings, and times as differences from the time before. The zero Writer appends to nil.
type Writer struct {
	Buf  []byte
	last int64
}

// Byte appends one byte.
func (w *Writer) Byte(v byte) { w.Buf = append(w.Buf, v) }

// Uint appends an unsigned integer.
func (w *Writer) Uint(v uint64) { w.Buf = binary.AppendUvarint(w.Buf, v) }

// Int appends a signed integer.
func (w *Writer) Int(v int64) { w.Buf = binary.AppendVarint(w.Buf, v) }

// String appends a string.
func (w *Writer) String(s string) {
	w.Uint(uint64(len(s)))
	w.Buf = append(w.Buf, s...)
}

// Time appends a time in Unix nanoseconds; close times take few bytes.
func (w *Writer) Time(t int64) {
	w.Int(t - w.last)
	w.last = t
}

// OptTime appends a time that may be zero, for never.
func (w *Writer) OptTime(t int64) {
	if t == 0 {
		w.Byte(0)
		return
	}
	w.Byte(1)
	w.Time(t)
}

// errStored is the cause of every failure to read a stored form.
var errStored = errors.New("stored view is damaged or of another codec version")

// Reader reads what a Writer wrote. After the first fault it returns zero values, and Err
// says so.
type Reader struct {
	buf  []byte
	last int64
	err  error
}

// NewReader reads from b. Strings it returns are copies.
func NewReader(b []byte) *Reader { return &Reader{buf: b} }

// Err is nil while all reads so far have succeeded.
func (r *Reader) Err() error { return r.err }

// End is Err, and an error too if something is left to read.
func (r *Reader) End() error {
	if r.err == nil && len(r.buf) > 0 {
		r.Fail()
	}
	return r.err
}

// Rest is what has not been read yet.
func (r *Reader) Rest() []byte { return r.buf }

// Fail says that what was read makes no sense.
func (r *Reader) Fail() {
	r.err = errStored
	r.buf = nil
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if len(r.buf) == 0 {
		r.Fail()
		return 0
	}
	v := r.buf[0]
	r.buf = r.buf[1:]
	return v
}

// Uint reads an unsigned integer.
func (r *Reader) Uint() uint64 {
	v, n := binary.Uvarint(r.buf)
	if n <= 0 {
		r.Fail()
		return 0
	}
	r.buf = r.buf[n:]
	return v
}

// Int reads a signed integer.
func (r *Reader) Int() int64 {
	v, n := binary.Varint(r.buf)
	if n <= 0 {
		r.Fail()
		return 0
	}
	r.buf = r.buf[n:]
	return v
}

// String reads a string.
func (r *Reader) String() string {
	n := r.Uint()
	if n > uint64(len(r.buf)) {
		r.Fail()
		return ""
	}
	s := string(r.buf[:n])
	r.buf = r.buf[n:]
	return s
}

// Time reads a time in Unix nanoseconds.
func (r *Reader) Time() int64 {
	r.last += r.Int()
	return r.last
}

// OptTime reads a time that may be zero, for never.
func (r *Reader) OptTime() int64 {
	if r.Byte() == 0 {
		return 0
	}
	return r.Time()
}

// Small reads a count that is not the length of a list.
func (r *Reader) Small() int {
	n := r.Uint()
	if n > math.MaxInt32 {
		r.Fail()
		return 0
	}
	return int(n)
}

// Count reads the length of a list of which every element takes at least one byte, so
// that a damaged length cannot ask for more memory than the value has.
func (r *Reader) Count() int {
	n := r.Uint()
	if n > uint64(len(r.buf)) {
		r.Fail()
		return 0
	}
	return int(n) //nolint:gosec // bounded by len(r.buf)
}

// Fixed64 appends eight bytes, for what is not small as a rule: a hash.
func (w *Writer) Fixed64(v uint64) { w.Buf = binary.LittleEndian.AppendUint64(w.Buf, v) }

// Fixed32 appends four bytes.
func (w *Writer) Fixed32(v uint32) { w.Buf = binary.LittleEndian.AppendUint32(w.Buf, v) }

// Fixed64 reads eight bytes.
func (r *Reader) Fixed64() uint64 {
	if len(r.buf) < 8 {
		r.Fail()
		return 0
	}
	v := binary.LittleEndian.Uint64(r.buf)
	r.buf = r.buf[8:]
	return v
}

// Fixed32 reads four bytes.
func (r *Reader) Fixed32() uint32 {
	if len(r.buf) < 4 {
		r.Fail()
		return 0
	}
	v := binary.LittleEndian.Uint32(r.buf)
	r.buf = r.buf[4:]
	return v
}
