package auth

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pinstatus/pinstatus/query"
)

const (
	// maxDocument bounds a JWK set or a discovery document, in bytes.
	maxDocument = 1 << 20

	// fetchTimeout bounds one fetch of an issuer's keys, discovery included.
	fetchTimeout = 5 * time.Second

	// minRefresh is the least time between two fetches from one source, however many
	// tokens name unknown keys.
	minRefresh = 10 * time.Second

	// maxBackoff is the most time between two fetches that fail.
	maxBackoff = time.Minute
)

// keySource is where the keys of one or more issuers come from, and the keys as they came
// last.
type keySource struct {
	location string
	fetch    func(context.Context) ([]byte, error) // nil for keys that are given
	keys     atomic.Pointer[keySet]                // nil until they came once; kept when a fetch fails

	mu       sync.Mutex
	running  bool
	due      time.Time     // when to fetch next
	tried    time.Time     // when the last fetch ended
	failures int           // in a row
	ended    chan struct{} // closed when the fetch that runs, or the next one, ends
}

// source is the key source for an issuer: one that next has already, or the one that old
// had, or a new one.
func (a *Authenticator) source(next, old *state, i query.Issuer) (*keySource, error) {
	location, fetch := "issuer "+i.Issuer, a.discover(i.Issuer)
	switch {
	case i.JWKS != nil:
		location, fetch = fmt.Sprintf("keys %x of issuer %s", sha256.Sum256(i.JWKS), i.Issuer), nil
	case i.JWKSURL != "":
		location, fetch = "url "+i.JWKSURL, a.fetchURL(i.JWKSURL)
	}
	src := next.sources[location]
	if src == nil {
		src = old.sources[location]
	}
	if src == nil {
		src = &keySource{location: location, fetch: fetch, ended: make(chan struct{})}
		if fetch == nil {
			set, err := parseKeys(i.JWKS)
			if err != nil {
				return nil, fmt.Errorf("keys of issuer %q: %w", i.Issuer, err)
			}
			src.replace(set)
		}
	}
	next.sources[location] = src
	return src, nil
}

// replace puts a newer key set in place, unless it is the same document.
func (s *keySource) replace(set *keySet) {
	if old := s.keys.Load(); old == nil || old.raw != set.raw {
		s.keys.Store(set)
	}
}

func readBounded(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxDocument {
		return nil, fmt.Errorf("larger than %d bytes", maxDocument)
	}
	return b, nil
}

func newClient(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport: transport,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			switch {
			case len(via) >= 5:
				return errors.New("too many redirects")
			case via[0].URL.Scheme == "https" && r.URL.Scheme != "https":
				return errors.New("redirected away from https")
			}
			return nil
		},
	}
}

func (a *Authenticator) fetchURL(address string) func(context.Context) ([]byte, error) {
	return func(ctx context.Context) ([]byte, error) { return a.get(ctx, address) }
}

// discover fetches the keys that an issuer names in its OpenID Connect Discovery document.
func (a *Authenticator) discover(issuer string) func(context.Context) ([]byte, error) {
	return func(ctx context.Context) ([]byte, error) {
		raw, err := a.get(ctx, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration")
		if err != nil {
			return nil, err
		}
		var doc struct {
			Issuer  string `json:"issuer"`
			JWKSURI string `json:"jwks_uri"`
		}
		if err := json.Unmarshal(raw, &doc); err != nil {
			return nil, fmt.Errorf("discovery document: %w", err)
		}
		if doc.Issuer != issuer {
			return nil, errors.New("discovery document: is another issuer's")
		}
		keys, err := url.Parse(doc.JWKSURI)
		if err != nil || keys.Host == "" || strings.HasPrefix(issuer, "https:") && keys.Scheme != "https" {
			return nil, errors.New("discovery document: jwks_uri is not a URL as secure as the issuer's")
		}
		return a.get(ctx, doc.JWKSURI)
	}
}

func (a *Authenticator) get(ctx context.Context, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get %s: %s", address, resp.Status)
	}
	b, err := readBounded(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", address, err)
	}
	return b, nil
}
