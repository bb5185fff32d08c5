package conform

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// general are headers that are not described with each answer: they belong to HTTP itself.
var general = []string{
	"Connection", "Content-Encoding", "Content-Length", "Content-Type", "Date", "Keep-Alive", "Trailer", "Transfer-Encoding", "Vary",
}

// common are the headers that every answer has which describes nothing else.
var common = map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

func (r *response) check(x *Exchange) error {
	return errors.Join(r.checkHeaders(x.Header), r.checkBody(x))
}

func (r *response) checkHeaders(h http.Header) error {
	var faults []error
	for name, described := range r.headers {
		values := h.Values(name)
		if len(values) == 0 && described.required {
			faults = append(faults, fmt.Errorf("header %s: not given", name))
		}
		for _, value := range values {
			if described.schema == nil {
				continue
			}
			if err := checkText(described.schema, value); err != nil {
				faults = append(faults, fmt.Errorf("header %s: %w", name, err))
			}
		}
	}
	for name := range h {
		_, described := r.headers[name]
		// What scripts of other origins may read is described in words.
		if described || slices.Contains(general, name) || strings.HasPrefix(name, "Access-Control-") || common[name] != "" {
			continue
		}
		faults = append(faults, fmt.Errorf("header %s: not described", name))
	}
	for name, want := range common {
		if _, described := r.headers[name]; !described && h.Get(name) != want {
			faults = append(faults, fmt.Errorf("header %s is %q; want %q", name, h.Get(name), want))
		}
	}
	return errors.Join(faults...)
}

func (r *response) checkBody(x *Exchange) error {
	contentType := x.Header.Get("Content-Type")
	switch {
	case len(r.content) == 0:
		if contentType != "" || len(x.Body) > 0 {
			return fmt.Errorf("body of %d bytes, content type %q; none is described", len(x.Body), contentType)
		}
		return nil
	case x.Method == http.MethodHead:
		if _, err := described(r.content, contentType); err != nil {
			return err
		}
		if len(x.Body) > 0 {
			return errors.New("a body for HEAD")
		}
		return nil
	case x.Cut && !strings.HasPrefix(contentType, "text/event-stream"):
		return nil
	}
	body, err := plain(x)
	if err == nil {
		err = checkContent(r.content, contentType, body)
	}
	if err != nil {
		return fmt.Errorf("body: %w", err)
	}
	return nil
}

// plain is the body as it was before it was compressed.
func plain(x *Exchange) ([]byte, error) {
	if x.Header.Get("Content-Encoding") != "gzip" {
		return x.Body, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(x.Body))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// described is the body described for a content type.
func described(content map[string]*media, contentType string) (*media, error) {
	mediaType, parameters, err := mime.ParseMediaType(contentType)
	if err != nil {
		return nil, fmt.Errorf("content type %q: %w", contentType, err)
	}
	if charset := parameters["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return nil, fmt.Errorf("content type %q: not in UTF-8", contentType)
	}
	m := content[mediaType]
	if m == nil {
		return nil, fmt.Errorf("content type %q: described are %q", contentType, slices.Sorted(maps.Keys(content)))
	}
	return m, nil
}

// checkContent checks a body: JSON by its value, text as a string.
func checkContent(content map[string]*media, contentType string, body []byte) error {
	m, err := described(content, contentType)
	if err != nil {
		return err
	}
	var value any = string(body)
	if mediaType, _, _ := strings.Cut(contentType, ";"); strings.HasSuffix(mediaType, "json") {
		if value, err = jsonschema.UnmarshalJSON(bytes.NewReader(body)); err != nil {
			return fmt.Errorf("not JSON: %w", err)
		}
	}
	return check(m.schema, value)
}
