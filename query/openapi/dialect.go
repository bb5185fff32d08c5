package openapi

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/pinstatus/pinstatus/query"
)

// cacheControl lets anybody keep the documents for some minutes: they change with a release.
const cacheControl = "public, max-age=300"

// Dialect answers the description of the API, a query.Dialect.
type Dialect struct {
	yaml, page served
}

// served is one form of the description.
type served struct {
	body   *query.Fixed
	etag   string
	policy string // value of a Content-Security-Policy header; empty: none
}

// New makes the dialect, and renders the page. The error says what in the document cannot
// be shown.
func New() (*Dialect, error) {
	page, policy, err := renderPage(document)
	if err != nil {
		return nil, fmt.Errorf("describe the API: %w", err)
	}
	return &Dialect{
		yaml: serve("application/yaml", "", document),
		page: serve("text/html; charset=utf-8", policy, page),
	}, nil
}

func serve(contentType, policy string, body []byte) served {
	sum := sha256.Sum256(body)
	return served{body: query.NewFixed(contentType, body), etag: `"` + hex.EncodeToString(sum[:16]) + `"`, policy: policy}
}

// Name is the dialect's name in metrics and logs.
func (d *Dialect) Name() string { return "openapi" }

// Routes are the dialect's routes.
func (d *Dialect) Routes() []query.Route {
	return []query.Route{
		{Pattern: "/openapi.yaml", Methods: map[string]query.Handler{http.MethodGet: d.yaml.handle}},
		{Pattern: "/docs", Methods: map[string]query.Handler{http.MethodGet: d.page.handle}},
	}
}

func (s *served) handle(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Set("Cache-Control", cacheControl)
	h.Set("ETag", s.etag)
	if s.known(r.Header.Values("If-None-Match")) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if s.policy != "" {
		h.Set("Content-Security-Policy", s.policy)
	}
	_ = s.body.Write(w, http.StatusOK) // fails only where nobody listens any more
	return nil
}

// known reports whether the client has the body: If-None-Match names it (RFC 9110, section
// 13.1.2).
func (s *served) known(noneMatch []string) bool {
	for _, list := range noneMatch {
		for tag := range strings.SplitSeq(list, ",") {
			tag = strings.TrimSpace(tag)
			if tag == "*" || strings.TrimPrefix(tag, "W/") == s.etag {
				return true
			}
		}
	}
	return false
}

// Fail answers err.
func (d *Dialect) Fail(w http.ResponseWriter, _ *http.Request, err error) {
	code, detail := http.StatusInternalServerError, "An internal fault occurred."
	switch {
	case errors.Is(err, query.ErrMethodNotAllowed):
		code, detail = http.StatusMethodNotAllowed, "This resource can only be read."
	case errors.Is(err, query.ErrURITooLong):
		code, detail = http.StatusRequestURITooLong, "The request's target is too long."
	case errors.Is(err, query.ErrBodyTooLarge):
		code, detail = http.StatusRequestEntityTooLarge, "The request's body is too large."
	}
	query.WriteProblem(w, code, detail)
}
