package conform

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
)

// Transport checks every exchange that goes through it, once its answer has been read or
// closed. It changes nothing.
type Transport struct {
	Base   http.RoundTripper
	API    *API
	Report func(error) // may be called at any time, by any goroutine
}

// RoundTrip is of http.RoundTripper.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	x := &Exchange{Method: req.Method, Target: req.URL.RequestURI(), RequestHeader: req.Header.Clone()}
	sent := new(copied)
	if req.Body != nil && req.Body != http.NoBody {
		req = req.Clone(req.Context())
		sent.ReadCloser = req.Body
		req.Body = sent
	}
	resp, err := t.Base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	x.Code, x.Header = resp.StatusCode, resp.Header.Clone()
	got := &copied{ReadCloser: resp.Body}
	got.done = func(whole bool) {
		x.RequestBody, x.Body, x.Cut = sent.bytes(), got.bytes(), !whole
		if err := t.API.Check(x); err != nil {
			t.Report(err)
		}
	}
	resp.Body = got
	return resp, nil
}

// copied keeps what is read.
type copied struct {
	io.ReadCloser
	done func(whole bool) // called once; may be nil

	once sync.Once
	mu   sync.Mutex
	buf  bytes.Buffer
}

func (c *copied) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.mu.Lock()
	c.buf.Write(p[:n])
	c.mu.Unlock()
	if err != nil {
		c.end(errors.Is(err, io.EOF))
	}
	return n, err
}

func (c *copied) Close() error {
	err := c.ReadCloser.Close()
	c.end(false)
	return err
}

func (c *copied) end(whole bool) {
	if c.done != nil {
		c.once.Do(func() { c.done(whole) })
	}
}

func (c *copied) bytes() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.buf.Bytes())
}
