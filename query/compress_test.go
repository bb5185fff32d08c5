package query

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const etagHeader = `"7-0123456789abcdef0123456789abcdef"`

// text is a body of so many bytes.
func text(size int) string { return strings.Repeat("0123456789abcdef", size/16+1)[:size] }

func TestCompression(t *testing.T) {
	s := serve(t)
	answerWith := func(contentType string, size int) {
		s.answers["a"] = func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("ETag", etagHeader)
			return WriteBody(w, http.StatusOK, contentType, []byte(text(size)))
		}
	}
	const (
		json  = "application/json"
		large = minCompressed
	)
	for _, tc := range []struct {
		name           string
		method         string
		accept         string
		contentType    string
		size           int
		varies, zipped bool
	}{
		{"large", "GET", "gzip", json, large, true, true},
		{"larger", "GET", "gzip", json, 1 << 20, true, true},
		{"also as a problem", "GET", "gzip", "application/problem+json", large, true, true},
		{"also YAML", "GET", "gzip", "application/yaml", large, true, true},
		{"also HTML", "GET", "gzip", "text/html; charset=utf-8", large, true, true},
		{"no text", "GET", "gzip", "application/octet-stream", large, false, false},
		{"small", "GET", "gzip", json, large - 1, false, false},
		{"nothing", "GET", "gzip", json, 0, false, false},
		{"what a HEAD is answered", "HEAD", "gzip", json, large, true, false},
		{"without asking", "GET", "", json, large, true, false},
		{"by another name", "GET", "x-gzip", json, large, true, true},
		{"among others", "GET", "br, GZIP;q=0.5 , *;q=0", json, large, true, true},
		{"among all", "GET", "br, *", json, large, true, true},
		{"refused among all", "GET", "*, gzip;q=0", json, large, true, false},
		{"refused", "GET", "gzip; q=0.000", json, large, true, false},
		{"all refused", "GET", "*;q=0", json, large, true, false},
		{"malformed weight", "GET", "gzip;q=high", json, large, true, false},
		{"others", "GET", "br, deflate, gzipped", json, large, true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			answerWith(tc.contentType, tc.size)
			got := s.get(tc.method+" /x/a", "Accept-Encoding: "+tc.accept)
			if varies := got.header.Get("Vary") == "Accept-Encoding"; varies != tc.varies {
				t.Errorf("Vary: %q; want Accept-Encoding: %t", got.header.Get("Vary"), tc.varies)
			}
			tag, body := etagHeader, got.body
			if tc.zipped {
				tag = `"7-0123456789abcdef0123456789abcdef-gzip"`
				body = unzip(t, body)
			}
			if coding := got.header.Get("Content-Encoding"); (coding == "gzip") != tc.zipped {
				t.Errorf("Content-Encoding: %q; want gzip: %t", coding, tc.zipped)
			}
			if got.header.Get("ETag") != tag || got.header.Get("Content-Type") != tc.contentType {
				t.Errorf("ETag %s, type %s; want %s, %s", got.header.Get("ETag"), got.header.Get("Content-Type"), tag, tc.contentType)
			}
			length := len(got.body)
			if tc.method == http.MethodHead {
				length = tc.size
			} else if body != text(tc.size) {
				t.Errorf("body of %d bytes is %d, and another", tc.size, len(body))
			}
			if got.header.Get("Content-Length") != fmt.Sprint(length) {
				t.Errorf("Content-Length: %s; want %d", got.header.Get("Content-Length"), length)
			}
		})
	}
}

// What is answered again and again is compressed once, and answered plain to who asks so.
func TestFixed(t *testing.T) {
	s := serve(t)
	fixed := NewFixed("text/html", []byte(text(5000)))
	s.answers["a"] = func(w http.ResponseWriter, _ *http.Request) error { return fixed.Write(w, http.StatusOK) }
	var first []byte
	for range 2 {
		zipped := s.get("GET /x/a", "Accept-Encoding: gzip")
		if zipped.header.Get("Content-Encoding") != "gzip" || unzip(t, zipped.body) != text(5000) {
			t.Errorf("Content-Encoding: %q, another body", zipped.header.Get("Content-Encoding"))
		}
		if first == nil {
			first = fixed.compressed
		}
		if &first[0] != &fixed.compressed[0] {
			t.Error("it is compressed again")
		}
		if plain := s.get("GET /x/a"); plain.body != text(5000) || plain.header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("plain: Vary: %q, another body", plain.header.Get("Vary"))
		}
	}
	w := httptest.NewRecorder() // not a server's
	if err := fixed.Write(w, http.StatusOK); err != nil || w.Body.String() != text(5000) {
		t.Errorf("%v, another body", err)
	}
}

func unzip(tb testing.TB, s string) string {
	tb.Helper()
	z, err := gzip.NewReader(strings.NewReader(s))
	if err != nil {
		tb.Fatal(err)
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		tb.Fatal(err)
	}
	return string(plain)
}

// What is larger when compressed is sent as it is, and a compressor that has been used is
// as good as new.
func TestCompressors(t *testing.T) {
	c := newCompressors()
	noise := make([]byte, 2*minCompressed)
	for i, x := 0, uint64(1); i < len(noise); i++ {
		x = x*6364136223846793005 + 1442695040888963407
		noise[i] = byte(x >> 56)
	}
	for range 3 {
		if got := c.compress(noise); got != nil {
			t.Errorf("noise of %d bytes compressed to %d", len(noise), len(got))
		}
		if got := unzip(t, string(c.compress([]byte(text(5000))))); got != text(5000) {
			t.Error("another text")
		}
	}
}

// A dialect knows the ETags of plain answers only; clients know those that they were sent.
func TestTagsOfCompressedAnswers(t *testing.T) {
	s := serve(t)
	var seen string
	s.answers["a"] = func(w http.ResponseWriter, r *http.Request) error {
		seen = strings.Join(r.Header.Values("If-None-Match"), "|") + r.Header.Get("Last-Event-ID")
		w.Header().Set("ETag", `"1-a"`)
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	for _, tc := range []struct {
		headers  []string
		seen     string
		answered string
	}{
		{nil, "", `"1-a"`},
		{[]string{`If-None-Match: "1-a"`}, `"1-a"`, `"1-a"`},
		{[]string{`If-None-Match: "1-a-gzip"`}, `"1-a"`, `"1-a-gzip"`},
		{[]string{`If-None-Match: W/"1-a-gzip"`}, `W/"1-a"`, `"1-a-gzip"`},
		{[]string{`If-None-Match: "0-b-gzip", "1-a"`}, `"0-b", "1-a"`, `"1-a"`},
		{[]string{`If-None-Match: "0-b"`, `If-None-Match: "1-a-gzip"`}, `"0-b"|"1-a"`, `"1-a-gzip"`},
		{[]string{`If-None-Match: *`}, `*`, `"1-a"`},
		{[]string{`Last-Event-ID: 1-a`}, `1-a`, `"1-a"`},
		{[]string{`Last-Event-ID: 1-a-gzip`}, `1-a`, `"1-a"`},
	} {
		got := s.get("GET /x/a", tc.headers...)
		if got.code != http.StatusNotModified || seen != tc.seen || got.header.Get("ETag") != tc.answered {
			t.Errorf("%q: %d, the dialect sees %s, answered %s; want 304, %s, %s",
				tc.headers, got.code, seen, got.header.Get("ETag"), tc.seen, tc.answered)
		}
		if got.header.Get("Vary") != "Accept-Encoding" || got.header.Get("Content-Encoding") != "" {
			t.Errorf("%q: Vary: %q, Content-Encoding: %q", tc.headers, got.header.Get("Vary"), got.header.Get("Content-Encoding"))
		}
	}
}
