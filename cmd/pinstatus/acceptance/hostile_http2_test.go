package acceptance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// rawHTTP2 is a connection of HTTP/2 on which anything may be sent.
type rawHTTP2 struct {
	*http2.Framer // for writing
	conn          net.Conn
	fields        bytes.Buffer
	encoder       *hpack.Encoder
	codes         []string // that are right besides 4xx

	mu     sync.Mutex
	wrong  error
	ended  map[uint32]bool // streams that the service has ended
	pinged chan struct{}
	closed chan struct{}
}

// http2 opens a connection, and reads what comes on it unless it is not to be read yet.
func (b *besieged) http2(read bool, settings ...http2.Setting) (*rawHTTP2, error) {
	conn, err := b.dial()
	if err != nil {
		return nil, err
	}
	h := &rawHTTP2{Framer: http2.NewFramer(conn, nil), conn: conn, ended: map[uint32]bool{}, pinged: make(chan struct{}), closed: make(chan struct{})}
	h.AllowIllegalWrites = true
	h.encoder = hpack.NewEncoder(&h.fields)
	if read {
		go h.read()
	}
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		return nil, err
	}
	return h, h.WriteSettings(settings...)
}

// lastPing is the ping behind an attack.
var lastPing = [8]byte{'l', 'a', 's', 't'}

// read reads frames until the connection is closed.
func (h *rawHTTP2) read() {
	defer close(h.closed)
	frames := http2.NewFramer(nil, h.conn)
	frames.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		f, err := frames.ReadFrame()
		if err != nil {
			return
		}
		h.mu.Lock()
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			if code := f.PseudoValue("status"); (len(code) != 3 || code[0] != '4') && !slices.Contains(h.codes, code) {
				h.wrong = fmt.Errorf("answered %s", code)
			}
			h.ended[f.StreamID] = h.ended[f.StreamID] || f.StreamEnded()
		case *http2.DataFrame:
			h.ended[f.StreamID] = h.ended[f.StreamID] || f.StreamEnded()
		case *http2.RSTStreamFrame:
			h.ended[f.StreamID] = true
		case *http2.PingFrame:
			if f.IsAck() && f.Data == lastPing {
				close(h.pinged)
			}
		}
		h.mu.Unlock()
	}
}

// over waits until the service has answered what was sent before, or has closed the
// connection, and reports as an error if it did neither, or answered what it must not.
func (h *rawHTTP2) over() error {
	_ = h.WritePing(false, lastPing) // fails where the connection is closed
	select {
	case <-h.pinged:
	case <-h.closed:
	case <-time.After(soon):
		return errors.New("neither answered nor closed")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.wrong
}

// allEnded waits until the service has ended these streams, or closed the connection.
func (h *rawHTTP2) allEnded(ctx context.Context, streams []uint32) error {
	deadline := time.Now().Add(soon)
	for pause(ctx) {
		h.mu.Lock()
		left := slices.DeleteFunc(slices.Clone(streams), func(id uint32) bool { return h.ended[id] })
		wrong := h.wrong
		h.mu.Unlock()
		select {
		case <-h.closed:
			return wrong
		default:
		}
		switch {
		case wrong != nil || len(left) == 0:
			return wrong
		case time.Now().After(deadline):
			return fmt.Errorf("%d of %d streams stay", len(left), len(streams))
		}
	}
	return ctx.Err()
}

// block encodes fields, given as names and values in turn.
func (h *rawHTTP2) block(fields ...string) []byte {
	h.fields.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = h.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}) // into memory
	}
	return slices.Clone(h.fields.Bytes())
}

// request sends the head of a request.
func (h *rawHTTP2) request(stream uint32, end bool, fields ...string) error {
	return h.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: h.block(fields...), EndStream: end, EndHeaders: true})
}

// asked are the fields of a request without a credential, and more.
func asked(more ...string) []string {
	return append([]string{":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/v1/accounts/a"}, more...)
}

// repeat sends so many times, and stops where the connection is closed, as it may be.
func repeat(times int, send func(i int) error) {
	for i := range times {
		if send(i) != nil {
			return
		}
	}
}

// brokenHTTP2 sends frames that break the protocol, one at a time.
func brokenHTTP2(t *testing.T, b *besieged) {
	fields := func(fields ...string) func(*rawHTTP2) {
		return func(h *rawHTTP2) { _ = h.request(1, true, fields...) }
	}
	attacks := map[string]func(h *rawHTTP2){
		"no path":                   fields(":method", "GET", ":scheme", "http", ":authority", "a"),
		"no method":                 fields(":scheme", "http", ":authority", "a", ":path", "/v1/accounts/a"),
		"two paths":                 fields(asked(":path", "/docs")...),
		"an unknown pseudo header":  fields(asked(":more", "a")...),
		"a status":                  fields(asked(":status", "200")...),
		"a pseudo header behind":    fields(":method", "GET", ":scheme", "http", "x", "a", ":path", "/v1/accounts/a"),
		"a path without a slash":    fields(":method", "GET", ":scheme", "http", ":authority", "a", ":path", "v1/accounts/a"),
		"an empty path":             fields(":method", "GET", ":scheme", "http", ":authority", "a", ":path", ""),
		"a path with a NUL":         fields(":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/\x00"),
		"an asterisk":               fields(":method", "GET", ":scheme", "http", ":authority", "a", ":path", "*"),
		"an authority that is none": fields(":method", "GET", ":scheme", "http", ":authority", "a b\x00", ":path", "/v1/accounts/a"),
		"a scheme that is none":     fields(":method", "GET", ":scheme", "\x00", ":authority", "a", ":path", "/v1/accounts/a"),
		"a tunnel":                  fields(":method", "CONNECT", ":authority", "elsewhere:443"),
		"capital letters":           fields(asked("Authorization", "x")...),
		"a name with a NUL":         fields(asked("x\x00", "a")...),
		"a name with a line end":    fields(asked("x\r\ny", "a")...),
		"a value with a line end":   fields(asked("x", "a\r\ny: b")...),
		"a connection's header":     fields(asked("connection", "close", "keep-alive", "a", "upgrade", "h2c")...),
		"a transfer coding":         fields(asked("transfer-encoding", "chunked")...),
		"te":                        fields(asked("te", "gzip")...),
		"lengths":                   fields(asked("content-length", "1", "content-length", "2")...),
		"a negative length":         fields(asked("content-length", "-1")...),
		"a long path":               fields(":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/v1/accounts/"+strings.Repeat("a", 10_000)),
		"a header much too large":   fields(asked("x", strings.Repeat("\x01", 60_000))...),
		"fields that are none": func(h *rawHTTP2) {
			_ = h.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte("\xff\xff\xff\xff\xff"), EndHeaders: true})
		},
		"an index beyond all": func(h *rawHTTP2) {
			_ = h.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0xff, 0xff, 0x7f}, EndHeaders: true})
		},
		"a table beyond all": func(h *rawHTTP2) {
			_ = h.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x3f, 0xff, 0xff, 0xff, 0x7f}, EndHeaders: true})
		},
		"an even stream": func(h *rawHTTP2) { _ = h.request(2, true, asked()...) },
		"stream 0":       func(h *rawHTTP2) { _ = h.request(0, true, asked()...) },
		"a stream again": func(h *rawHTTP2) { _ = h.request(5, true, asked()...); _ = h.request(3, true, asked()...) },
		"a stream upon itself": func(h *rawHTTP2) {
			_ = h.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: h.block(asked()...), EndHeaders: true, Priority: http2.PriorityParam{StreamDep: 1}})
		},
		"data of no stream": func(h *rawHTTP2) { _ = h.WriteData(1, true, []byte("a")) },
		"data of stream 0":  func(h *rawHTTP2) { _ = h.WriteData(0, true, []byte("a")) },
		"more data than it says": func(h *rawHTTP2) {
			_ = h.request(1, false, asked("content-length", "1")...)
			_ = h.WriteData(1, true, []byte("aaa"))
		},
		"less data than it says": func(h *rawHTTP2) {
			_ = h.request(1, false, asked("content-length", "9")...)
			_ = h.WriteData(1, true, []byte("aaa"))
		},
		"data behind the end":    func(h *rawHTTP2) { _ = h.request(1, true, asked()...); _ = h.WriteData(1, true, []byte("a")) },
		"headers behind the end": func(h *rawHTTP2) { _ = h.request(1, true, asked()...); _ = h.request(1, true, asked()...) },
		"trailers that go on":    func(h *rawHTTP2) { _ = h.request(1, false, asked()...); _ = h.request(1, false, "x", "a") },
		"pseudo trailers":        func(h *rawHTTP2) { _ = h.request(1, false, asked()...); _ = h.request(1, true, ":path", "/docs") },
		"a reset of no stream":   func(h *rawHTTP2) { _ = h.WriteRSTStream(99, http2.ErrCodeCancel) },
		"a window beyond all":    func(h *rawHTTP2) { _ = h.WriteWindowUpdate(0, 1<<31-1); _ = h.WriteWindowUpdate(0, 1<<31-1) },
		"a window of nothing":    func(h *rawHTTP2) { _ = h.WriteRawFrame(http2.FrameWindowUpdate, 0, 0, make([]byte, 4)) },
		"a promise": func(h *rawHTTP2) {
			_ = h.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, BlockFragment: h.block(asked()...), EndHeaders: true})
		},
		"a continuation of nothing": func(h *rawHTTP2) { _ = h.WriteContinuation(1, true, h.block(asked()...)) },
		"something within a block": func(h *rawHTTP2) {
			_ = h.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: h.block(asked()...)})
			_ = h.WriteData(1, true, nil)
		},
		"settings of a stream": func(h *rawHTTP2) { _ = h.WriteRawFrame(http2.FrameSettings, 0, 1, nil) },
		"half a setting":       func(h *rawHTTP2) { _ = h.WriteRawFrame(http2.FrameSettings, 0, 0, make([]byte, 5)) },
		"a setting out of bounds": func(h *rawHTTP2) {
			_ = h.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31})
		},
		"an acknowledgement": func(h *rawHTTP2) { _ = h.WriteSettingsAck(); _ = h.WriteSettingsAck() },
		"half a ping":        func(h *rawHTTP2) { _ = h.WriteRawFrame(http2.FramePing, 0, 0, make([]byte, 4)) },
		"padding beyond the frame": func(h *rawHTTP2) {
			_ = h.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersPadded|http2.FlagHeadersEndHeaders, 1, []byte{255, 0})
		},
		"a frame beyond all": func(h *rawHTTP2) { _, _ = h.conn.Write([]byte{0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1}) },
		"no frame":           func(h *rawHTTP2) { _, _ = h.conn.Write([]byte("GET / HTTP/1.1\r\n\r\n")) },
		"a farewell": func(h *rawHTTP2) {
			_ = h.WriteGoAway(1<<31-1, http2.ErrCodeNo, make([]byte, 10_000))
			_ = h.request(1, true, asked()...)
		},
	}
	names := slices.Sorted(maps.Keys(attacks))
	each(t, "broken", len(names), 16, func(i int) error { // a connection that broke the protocol is closed after a second
		h, err := b.http2(true)
		if err == nil {
			defer h.conn.Close()
			attacks[names[i]](h)
			err = h.over()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", names[i], err)
		}
		return nil
	})
}

// floodsOfHTTP2 send far more than they may of what costs the service more than them.
func floodsOfHTTP2(t *testing.T, b *besieged) {
	const (
		many = 20_000
		some = 5_000 // of what the service has to work for
	)
	stream := func(i int) uint32 { return uint32(2*i + 1) }
	authorized := slices.Clip(asked("authorization", "Bearer "+b.operator("acme")))
	floods := map[string]func(h *rawHTTP2){
		"resets": func(h *rawHTTP2) {
			repeat(some, func(i int) error {
				return errors.Join(h.request(stream(i), true, asked()...), h.WriteRSTStream(stream(i), http2.ErrCodeCancel))
			})
		},
		"resets of waits": func(h *rawHTTP2) {
			repeat(some, func(i int) error {
				return errors.Join(h.request(stream(i), true, append(authorized, "prefer", "wait=60")...), h.WriteRSTStream(stream(i), http2.ErrCodeCancel))
			})
		},
		"resets provoked": func(h *rawHTTP2) { // the service resets them
			repeat(some, func(i int) error {
				return errors.Join(h.request(stream(i), true, asked()...), h.WriteRawFrame(http2.FrameWindowUpdate, 0, stream(i), make([]byte, 4)))
			})
		},
		"requests": func(h *rawHTTP2) {
			repeat(some, func(i int) error { return h.request(stream(i), true, asked()...) })
		},
		"waits": func(h *rawHTTP2) {
			repeat(1000, func(i int) error { return h.request(stream(i), true, append(authorized, "prefer", "wait=60")...) })
		},
		"settings": func(h *rawHTTP2) {
			repeat(many, func(i int) error {
				return h.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(i)})
			})
		},
		"pings": func(h *rawHTTP2) { repeat(many, func(int) error { return h.WritePing(false, [8]byte{}) }) },
		"priorities": func(h *rawHTTP2) {
			repeat(many, func(i int) error { return h.WritePriority(stream(i), http2.PriorityParam{StreamDep: stream(i + 1)}) })
		},
		"windows": func(h *rawHTTP2) { repeat(many, func(int) error { return h.WriteWindowUpdate(0, 1) }) },
		"unknown frames": func(h *rawHTTP2) {
			repeat(many, func(int) error { return h.WriteRawFrame(0xfa, 0, 0, make([]byte, 1000)) })
		},
		"empty data": func(h *rawHTTP2) {
			_ = h.request(1, false, asked()...)
			repeat(many, func(int) error { return h.WriteData(1, false, nil) })
		},
		"padding": func(h *rawHTTP2) {
			_ = h.request(1, false, asked()...)
			repeat(many, func(int) error { return h.WriteDataPadded(1, false, nil, make([]byte, 200)) })
		},
		"continuations": func(h *rawHTTP2) { h.continuations(many, h.block("x", strings.Repeat("\x01", 10_000))) },
		"a bomb":        func(h *rawHTTP2) { h.bomb(many) },
		"table sizes":   func(h *rawHTTP2) { h.continuations(many, bytes.Repeat([]byte{0x20}, 10_000)) },
		"a body too many": func(h *rawHTTP2) { // each as large as windows let it be
			repeat(200, func(i int) error {
				return errors.Join(h.request(stream(i), false, append(authorized, "content-length", "65535")...), h.WriteData(stream(i), false, make([]byte, 16<<10)))
			})
		},
	}
	names := slices.Sorted(maps.Keys(floods))
	each(t, "flood", 2*len(names), 4, func(i int) error {
		name, read := names[i/2], i%2 == 0
		h, err := b.http2(read)
		if err == nil {
			defer h.conn.Close()
			floods[name](h)
			if !read { // what it has to say is read only now
				go h.read()
			}
			err = h.over()
		}
		if err != nil {
			return fmt.Errorf("%s, read at once: %t: %w", name, read, err)
		}
		return nil
	})
}

// continuations sends a block of fields that does not end.
func (h *rawHTTP2) continuations(many int, fragment []byte) {
	_ = h.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: h.block(asked()...)})
	repeat(many, func(int) error { return h.WriteContinuation(1, false, fragment) })
	_ = h.WriteContinuation(1, true, nil)
}

// bomb names a large field once, and then again and again by one byte.
func (h *rawHTTP2) bomb(many int) {
	_ = h.request(1, true, asked("x", strings.Repeat("a", 3000))...)
	once := h.block("x", strings.Repeat("a", 3000)) // its index alone by now
	repeat(many/1000, func(i int) error {
		return h.WriteHeaders(http2.HeadersFrameParam{
			StreamID: uint32(2*i + 3), EndStream: true, EndHeaders: true,
			BlockFragment: append(h.block(asked()...), bytes.Repeat(once, 10_000)...),
		})
	})
}

// unreadHTTP2 asks for large answers and grants no window for them.
func unreadHTTP2(t *testing.T, b *besieged) {
	each(t, "HTTP/2 answers that are not read", 4, 4, func(int) error {
		h, err := b.http2(true, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10})
		if err != nil {
			return err
		}
		defer h.conn.Close()
		h.codes = []string{"200"}
		var streams []uint32
		for id := uint32(1); id < 400; id += 2 {
			streams = append(streams, id)
			if err := h.request(id, true, ":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/docs"); err != nil {
				return err
			}
		}
		return h.allEnded(t.Context(), streams)
	})
}

// withheldHTTP2 announces bodies that never come.
func withheldHTTP2(t *testing.T, b *besieged) {
	each(t, "HTTP/2 bodies that are withheld", 4, 4, func(int) error {
		h, err := b.http2(true)
		if err != nil {
			return err
		}
		defer h.conn.Close()
		var streams []uint32
		for id := uint32(1); id < 400; id += 2 {
			streams = append(streams, id)
			path, method := "/v1/accounts:batchGet", "POST"
			if id%4 == 1 {
				path, method = "/v1/accounts/a", "GET"
			}
			if err := h.request(id, false, ":method", method, ":scheme", "http", ":authority", "a", ":path", path,
				"authorization", "Bearer "+b.operator("acme"), "content-type", "application/json", "content-length", "1000"); err != nil {
				return err
			}
		}
		return h.allEnded(t.Context(), streams)
	})
}
