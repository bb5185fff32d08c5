package client

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/pinstatus/pinstatus/query/internal/querytest"
	"github.com/pinstatus/pinstatus/query/wire"
)

const serviceURL = "http://service.example"

// over is an HTTP client of a service in memory.
func over(p *querytest.Pipe) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: p.Dial, DisableCompression: true}}
}

// newClient makes a client of a service that h answers for.
func newClient(tb testing.TB, h http.HandlerFunc, opts ...Option) *Client {
	tb.Helper()
	network := querytest.NewPipe()
	s := &http.Server{Handler: h, Protocols: new(http.Protocols)}
	s.Protocols.SetHTTP1(true)
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := s.Serve(network); !errors.Is(err, http.ErrServerClosed) {
			tb.Error(err)
		}
	}()
	c, err := New(serviceURL, append([]Option{WithToken(StaticToken("secret")), WithHTTPClient(over(network))}, opts...)...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		c.CloseIdleConnections()
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
		<-served
	})
	return c
}

// answers is the answer to a request.
// viewOf is an empty view of what a request is for: the last segment of its path, which names a
// PIN code or an account, or the one id of a batch.
func viewOf(tb testing.TB, path, body string) string {
	tb.Helper()
	if body != "" {
		return `{"found":[],"missing":` + strings.TrimSuffix(strings.TrimPrefix(body, `{"ids":`), "}") + `}`
	}
	id, err := url.PathUnescape(path[strings.LastIndex(path, "/")+1:])
	if err != nil {
		tb.Error(err)
	}
	text, err := json.Marshal(map[string]string{"pinId": id, "accountId": id})
	if err != nil {
		tb.Error(err)
	}
	return string(text)
}

func answers(w http.ResponseWriter, code int, contentType, body string, header ...string) {
	w.Header().Set("Content-Type", contentType)
	for i := 0; i < len(header); i += 2 {
		w.Header().Set(header[i], header[i+1])
	}
	w.WriteHeader(code)
	_, _ = io.WriteString(w, body)
}

func problem(w http.ResponseWriter, code int, header ...string) {
	answers(w, code, wire.ProblemContentType, `{"type":"about:blank","title":"`+http.StatusText(code)+`"}`, header...)
}
