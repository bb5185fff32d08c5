package query

import (
	"bytes"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
)

const (
	// minCompressed is the size in bytes of the smallest body that is compressed: what fits
	// into one packet is not faster for being smaller.
	minCompressed = 1 << 10

	// gzipSuffix is what the ETag of a compressed answer ends with, as it must differ from
	// that of the plain one (RFC 9110, section 8.8.3.3).
	gzipSuffix = "-gzip"
)

// compressors compress whole bodies and not while they are sent: a client that reads slowly
// holds the answer, and not a compressor of almost a megabyte.
type compressors struct {
	pool sync.Pool
	busy chan struct{} // as many as can run at the same time
}

func newCompressors() *compressors {
	return &compressors{busy: make(chan struct{}, runtime.GOMAXPROCS(0))}
}

// compress is body compressed; nil if that gains nothing.
func (c *compressors) compress(body []byte) []byte {
	c.busy <- struct{}{}
	defer func() { <-c.busy }()
	z, ok := c.pool.Get().(*gzip.Writer)
	if !ok {
		z, _ = gzip.NewWriterLevel(nil, gzip.BestSpeed) // fails only for a level that there is not
	}
	defer c.pool.Put(z)
	out := bytes.NewBuffer(make([]byte, 0, len(body)/4))
	z.Reset(out)
	_, _ = z.Write(body) // a buffer takes all
	_ = z.Close()
	if out.Len() >= len(body) {
		return nil
	}
	return out.Bytes()
}

// compresses reports whether a body that is about to be answered as a whole is worth to be
// compressed, and the client takes that.
func (w *recorder) compresses(contentType string, body []byte) bool {
	if len(body) < minCompressed || !compressible(contentType) {
		return false
	}
	w.Header().Add("Vary", "Accept-Encoding")
	// What HEAD is answered has no body to compress, and describes the plain one.
	return w.request.Method != http.MethodHead && acceptsGzip(w.request.Header)
}

// compressed is what to answer of a body and its compressed form, nil where that gains
// nothing. It sets the headers that belong to it.
func (w *recorder) compressed(plain, compressed []byte) []byte {
	if compressed == nil {
		return plain
	}
	h := w.Header()
	h.Set("Content-Encoding", "gzip")
	if tag := h.Get("ETag"); tag != "" {
		h.Set("ETag", gzipTag(tag))
	}
	return compressed
}

// compressible tells types of text.
func compressible(contentType string) bool {
	mediaType, _, _ := strings.Cut(contentType, ";")
	return strings.HasPrefix(mediaType, "text/") || strings.HasSuffix(mediaType, "json") || strings.HasSuffix(mediaType, "yaml")
}

// acceptsGzip reads Accept-Encoding (RFC 9110, section 12.5.3).
func acceptsGzip(h http.Header) bool {
	others := false
	for _, line := range h["Accept-Encoding"] {
		for part := range strings.SplitSeq(line, ",") {
			coding, weight, _ := strings.Cut(part, ";")
			switch strings.ToLower(strings.TrimSpace(coding)) {
			case "gzip", "x-gzip":
				return accepts(weight)
			case "*":
				others = accepts(weight)
			}
		}
	}
	return others
}

// accepts reads a weight, such as "q=0.5".
func accepts(weight string) bool {
	name, value, given := strings.Cut(strings.TrimSpace(weight), "=")
	if !given || !strings.EqualFold(strings.TrimSpace(name), "q") {
		return true
	}
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	return err == nil && q > 0
}

// gzipTag is the ETag of a compressed answer; tag is the plain one's.
func gzipTag(tag string) string {
	plain, quoted := strings.CutSuffix(tag, `"`)
	if !quoted {
		return tag
	}
	return plain + gzipSuffix + `"`
}

// plainTags has a request name the ETags of plain answers where it names those of
// compressed ones, so that dialects know only the former. It returns If-None-Match as it
// was, nil if it stays as it is.
func plainTags(h http.Header) []string {
	if id := h.Get("Last-Event-Id"); strings.HasSuffix(id, gzipSuffix) {
		h.Set("Last-Event-Id", strings.TrimSuffix(id, gzipSuffix))
	}
	const suffixed = gzipSuffix + `"`
	given := h["If-None-Match"]
	if !slices.ContainsFunc(given, func(line string) bool { return strings.Contains(line, suffixed) }) {
		return nil
	}
	plain := make([]string, len(given))
	for i, line := range given {
		plain[i] = strings.ReplaceAll(line, suffixed, `"`)
	}
	h["If-None-Match"] = plain
	return given
}

// sameTag has 304 confirm the ETag that the client asked with.
func (w *recorder) sameTag() {
	h := w.Header()
	h.Add("Vary", "Accept-Encoding")
	tag := h.Get("ETag")
	if tag == "" {
		return
	}
	compressed := gzipTag(tag)
	if slices.ContainsFunc(w.noneMatch, func(line string) bool { return strings.Contains(line, compressed) }) {
		h.Set("ETag", compressed)
	}
}
