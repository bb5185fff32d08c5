package query

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
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
	body := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	_, _ = w.Write(body) // fails only where nobody listens any more
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
