package client

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// read is what an eventReader makes of a stream.
type read struct {
	Messages   []string // event, last id and data
	LastID     string   // at the end
	Retry      time.Duration
	Heartbeats int
	Err        error
}

func readAll(r *eventReader) (got read) {
	for {
		m, err := r.next()
		if err != nil {
			got.LastID, got.Retry, got.Heartbeats, got.Err = r.lastID, r.retry, r.heartbeats, err
			return got
		}
		got.Messages = append(got.Messages, m.event+" "+r.lastID+" "+string(m.data))
	}
}

func TestEventStream(t *testing.T) {
	tests := []struct {
		name, stream string
		want         read
	}{
		{"nothing", "", read{}},
		{"an event", "event: view\nid: 7-ab\ndata: {}\n\n", read{Messages: []string{"view 7-ab {}"}, LastID: "7-ab"}},
		{"CR LF", "event: view\r\nid: 1\r\ndata: x\r\n\r\n", read{Messages: []string{"view 1 x"}, LastID: "1"}},
		{"CR", "event: view\rid: 1\rdata: x\r\r", read{Messages: []string{"view 1 x"}, LastID: "1"}},
		{"mixed line ends", "data: 1\r\ndata: 2\rdata: 3\n\ndata: 4\r\r\n", read{Messages: []string{"message  1\n2\n3", "message  4"}}},
		{"byte order mark", "\ufeffdata: x\n\n", read{Messages: []string{"message  x"}}},
		{"a second mark belongs to the name", "\ufeff\ufeffdata: x\n\n", read{}},
		{"one space is taken off", "data:x\n\ndata: x\n\ndata:  x \n\n", read{Messages: []string{"message  x", "message  x", "message   x "}}},
		{"a colon in the value", "data: {\"a\":1}\n\n", read{Messages: []string{`message  {"a":1}`}}},
		{"a field without a colon", "data\n\n", read{Messages: []string{"message  "}}},
		{"two empty lines of data", "data:\ndata\n\n", read{Messages: []string{"message  \n"}}},
		{"unknown fields, and names in other case", "Data: x\n data: y\nfoo: z\ndata: 1\n\n", read{Messages: []string{"message  1"}}},
		{"no data is no event", "event: view\nid: 3\n\ndata: x\n\n", read{Messages: []string{"message 3 x"}, LastID: "3"}},
		{"an id stays", "id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n", read{Messages: []string{"message 1 a", "message 1 b", "message  c"}}},
		{"an id with NUL", "id: 1\nid: 2\x00\ndata: a\n\n", read{Messages: []string{"message 1 a"}, LastID: "1"}},
		{"the last event and id of several", "event: a\nevent: b\nid: 1\nid: 2\ndata: x\n\n", read{Messages: []string{"b 2 x"}, LastID: "2"}},
		{"retry", "retry: 2000\n\n", read{Retry: 2 * time.Second}},
		{"retry at once", "retry: 0\n\n", read{Retry: time.Millisecond}},
		{"retry that is no number", "retry: 2000\nretry: -1\nretry: 2s\nretry\nretry: +5\nretry: 99999999999999999999\n\n", read{Retry: 2 * time.Second}},
		{"comments", ":\n\n: unavailable\n:\n: \n\ndata: x\n:\n\n", read{Messages: []string{"message  x"}, Heartbeats: 4}},
		{"cut off", "id: 1\ndata: a\n\nid: 2\ndata: b\n", read{Messages: []string{"message 1 a"}, LastID: "1"}},
		{"cut off in a line", "data: a\n\ndata: b", read{Messages: []string{"message  a"}}},
	}
	for _, tt := range tests {
		tt.want.Err = io.EOF
		for how, in := range map[string]io.Reader{
			"at once": strings.NewReader(tt.stream), "byte by byte": iotest.OneByteReader(strings.NewReader(tt.stream)),
		} {
			got := readAll(newEventReader(in))
			if diff := cmp.Diff(tt.want, got, cmp.Comparer(errors.Is)); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", tt.name, how, diff)
			}
		}
	}
}

// An event whose lines end with CR is there before anything else comes.
func TestEventEndsAtCR(t *testing.T) {
	in, out := io.Pipe()
	t.Cleanup(func() { _ = in.Close() })
	go func() { _, _ = out.Write([]byte("data: x\r\r")) }() // and nothing else
	if m, err := newEventReader(in).next(); err != nil || string(m.data) != "x" {
		t.Errorf("got %q, %v; want x", m.data, err)
	}
}

func TestEventStreamIsBounded(t *testing.T) {
	for name, stream := range map[string]string{
		"a line without end":       "data: 0123456789",
		"a comment without end":    ":0123456789012345",
		"data in too many lines":   "data:012345\ndata:543210\n\n",
		"a field name without end": "0123456789012345",
	} {
		r := newEventReader(strings.NewReader(stream))
		r.most = 11
		if m, err := r.next(); !errors.Is(err, errEventTooLarge) {
			t.Errorf("%s: got %q, %v; want %v", name, m.data, err, errEventTooLarge)
		}
	}
	r := newEventReader(strings.NewReader("data: 01234\n\n"))
	r.most = 11
	if m, err := r.next(); err != nil || string(m.data) != "01234" {
		t.Errorf("at the bound: got %q, %v; want 01234", m.data, err)
	}
}

// FuzzEventStream compares with a reading of the standard that has the whole stream at hand.
func FuzzEventStream(f *testing.F) {
	for _, seed := range []string{
		"\ufeffretry: 2000\n\nevent: view\nid: 7-ab\ndata: {}\n\n:\n\n", "data: 1\r\ndata\rdata:  3\n\r\n\r", "id: a\x00b\nid\n\n", "event\ndata\n\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, stream string) {
		got := readAll(newEventReader(iotest.HalfReader(strings.NewReader(stream))))
		if diff := cmp.Diff(interpret(stream), got, cmp.Comparer(errors.Is)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", stream, diff)
		}
	})
}

func interpret(stream string) (want read) {
	want.Err = io.EOF
	stream = strings.TrimPrefix(stream, "\ufeff")
	stream = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(stream)
	lines := strings.Split(stream, "\n")
	var event, id string
	var data []string
	for _, line := range lines[:len(lines)-1] { // what stands behind the last line end is cut off
		if line == "" {
			want.LastID = id
			if data != nil {
				if event == "" {
					event = "message"
				}
				want.Messages = append(want.Messages, event+" "+id+" "+strings.Join(data, "\n"))
			}
			event, data = "", nil
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		digits := value != "" && len(value) < 10 && strings.Trim(value, "0123456789") == ""
		switch {
		case name == "" && value == "":
			want.Heartbeats++
		case name == "event":
			event = value
		case name == "data":
			data = append(data, value)
		case name == "id" && !strings.Contains(value, "\x00"):
			id = value
		case name == "retry" && digits:
			ms := 0
			for _, d := range value {
				ms = ms*10 + int(d-'0')
			}
			want.Retry = time.Duration(max(1, ms)) * time.Millisecond
		}
	}
	return want
}
