package conform_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pinstatus/pinstatus/query/openapi/conform"
)

// answers is a server's side that always answers the same.
type answers struct {
	header http.Header
	code   int
	body   string
	got    string // the body of the last request
}

func (a *answers) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		b, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		a.got = string(b)
	}
	return &http.Response{StatusCode: a.code, Header: a.header, Body: io.NopCloser(strings.NewReader(a.body)), Request: req}, nil
}

func TestTransport(t *testing.T) {
	api := parse(t)
	good := `{"found":[],"missing":["alice"]}`
	for _, tc := range []struct {
		name          string
		request, body string
		read          int64 // bytes of the answer that are read; -1: all
		faults        int
	}{
		{"as described", `{"ids":["alice"]}`, good, -1, 0},
		{"answer is not", `{"ids":["alice"]}`, `{"found":[]}`, -1, 1},
		{"request is not", `{"ids":"alice"}`, good, -1, 1},
		{"answer is not, and not read", `{"ids":["alice"]}`, `{"found":[]}`, 3, 0},
		{"request is not, answer not read", `{"ids":"alice"}`, good, 0, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			base := &answers{code: 200, header: headers(common, sniff, id, isJSON), body: tc.body}
			var faults []error
			transport := &conform.Transport{Base: base, API: api, Report: func(err error) { faults = append(faults, err) }}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://x/v1/accounts:batchGet", strings.NewReader(tc.request))
			if err != nil {
				t.Fatal(err)
			}
			req.Header = headers(bearer, isJSON)
			resp, err := transport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			from := io.Reader(resp.Body)
			if tc.read >= 0 {
				from = io.LimitReader(from, tc.read)
			}
			got, err := io.ReadAll(from)
			if err != nil {
				t.Fatal(err)
			}
			if err := resp.Body.Close(); err != nil {
				t.Fatal(err)
			}
			if want := tc.body; base.got != tc.request || tc.read < 0 && string(got) != want {
				t.Errorf("sent %q, read %q; want %q, %q", base.got, got, tc.request, want)
			}
			if len(faults) != tc.faults {
				t.Errorf("reported: %v; want %d", faults, tc.faults)
			}
		})
	}
}
