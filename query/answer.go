package query

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
)

// WriteJSON answers v as JSON, members in the order of its fields, nothing escaped for
// HTML, and without a line end.
func WriteJSON(w http.ResponseWriter, code int, contentType string, v any) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		// Only a type that JSON has no form for fails to encode: a fault of the program.
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	_ = WriteBody(w, code, contentType, bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

// WriteBody answers a body that is all there, compressed where that helps. An ETag must be
// set before: it is the plain body's.
//
// It fails only where nobody listens any more, so that nothing can be done about it. But
// the body's memory must not be used again then: HTTP/2 may still be sending from it.
func WriteBody(w http.ResponseWriter, code int, contentType string, body []byte) error {
	if rec, ok := w.(*recorder); ok && rec.compresses(contentType, body) {
		body = rec.compressed(body, rec.server.compressors.compress(body))
	}
	return writeBody(w, code, contentType, body)
}

func writeBody(w http.ResponseWriter, code int, contentType string, body []byte) error {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	_, err := w.Write(body)
	return err
}

// Fixed is a body that is answered for as long as the process runs. It is compressed once,
// however often it is answered.
type Fixed struct {
	contentType string
	body        []byte
	compress    sync.Once
	compressed  []byte // nil if that gains nothing
}

// NewFixed makes a Fixed. The body must not be changed afterwards.
func NewFixed(contentType string, body []byte) *Fixed {
	return &Fixed{contentType: contentType, body: body}
}

// Write is WriteBody of the body.
func (f *Fixed) Write(w http.ResponseWriter, code int) error {
	body := f.body
	if rec, ok := w.(*recorder); ok && rec.compresses(f.contentType, body) {
		f.compress.Do(func() { f.compressed = rec.server.compressors.compress(body) })
		body = rec.compressed(body, f.compressed)
	}
	return writeBody(w, code, f.contentType, body)
}

// Problem is an error answer of RFC 9457.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
}

// WriteProblem answers an error as application/problem+json; title is the code's own text.
func WriteProblem(w http.ResponseWriter, code int, detail string) {
	WriteJSON(w, code, "application/problem+json", Problem{
		Type: "about:blank", Title: http.StatusText(code), Status: code, Detail: detail,
	})
}
