package client

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"time"
)

// maxEvent bounds a line and an event of a stream, in bytes. The largest view there can be
// has a hundred entries whose texts come from events of 64 KiB.
const maxEvent = 32 << 20

var errEventTooLarge = errors.New("an event is too large")

// message is an event of a stream.
type message struct {
	event string // its type; "message" if the stream gives none
	data  []byte // until the next message is read
}

// eventReader reads a stream of Server-Sent Events as the HTML standard interprets it (section
// 9.2.6 "Interpreting an event stream").
type eventReader struct {
	in      *bufio.Reader
	most    int  // bytes of a line, and of an event's data
	started bool // past the place of a byte order mark
	afterCR bool // a line feed at this place belongs to the line before

	line, data []byte
	event      string
	id         string // the last that was read

	lastID     string        // as of the message returned last
	retry      time.Duration // time to wait before reconnecting; 0 if the stream has not said
	heartbeats int           // comments without text
}

func newEventReader(in io.Reader) *eventReader {
	return &eventReader{in: bufio.NewReader(in), most: maxEvent}
}

// next is the next event that has data. What the stream's end cuts off is no event: the error
// is that of the stream then, io.EOF included.
func (r *eventReader) next() (message, error) {
	r.data, r.event = r.data[:0], ""
	for {
		if err := r.readLine(); err != nil {
			return message{}, err
		}
		if len(r.line) > 0 {
			if err := r.field(); err != nil {
				return message{}, err
			}
			continue
		}
		r.lastID = r.id
		if len(r.data) == 0 {
			r.event = ""
			continue
		}
		m := message{event: r.event, data: bytes.TrimSuffix(r.data, []byte("\n"))}
		if m.event == "" {
			m.event = "message"
		}
		return m, nil
	}
}

// field takes a line that is not empty.
func (r *eventReader) field() error {
	name, value, _ := bytes.Cut(r.line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "": // a comment
		if len(value) == 0 {
			r.heartbeats++
		}
	case "event":
		r.event = string(value)
	case "data":
		if len(r.data)+len(value) > r.most {
			return errEventTooLarge
		}
		r.data = append(append(r.data, value...), '\n')
	case "id":
		if !bytes.ContainsRune(value, 0) {
			r.id = string(value)
		}
	case "retry":
		if ms, err := strconv.ParseUint(string(value), 10, 32); err == nil { // digits alone
			r.retry = time.Duration(max(1, ms)) * time.Millisecond
		}
	}
	return nil
}

// readLine reads a line that ends with CR, LF, or both. A CR ends it at once: the LF behind it
// may be long in coming.
func (r *eventReader) readLine() error {
	r.line = r.line[:0]
	for {
		b, err := r.in.ReadByte()
		if err != nil {
			return err
		}
		if r.afterCR {
			r.afterCR = false
			if b == '\n' {
				continue
			}
		}
		if b == '\n' || b == '\r' {
			r.afterCR = b == '\r'
			break
		}
		if len(r.line) == r.most {
			return errEventTooLarge
		}
		r.line = append(r.line, b)
	}
	if !r.started {
		r.started = true
		r.line = bytes.TrimPrefix(r.line, []byte("\ufeff"))
	}
	return nil
}
