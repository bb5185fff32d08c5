package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// maxDocument bounds a JWK set or a discovery document, in bytes.
	maxDocument = 1 << 20

	// maxResponseHeader bounds what comes before it, in bytes.
	maxResponseHeader = 64 << 10

	// maxRedirects is how often one request may be sent on.
	maxRedirects = 3

	// fetchTimeout bounds one fetch of an issuer's keys, discovery included.
	fetchTimeout = 5 * time.Second

	// minRefresh is the least time between two fetches from one source, however many
	// tokens name unknown keys.
	minRefresh = 10 * time.Second

	// maxBackoff is the most time between two fetches that fail.
	maxBackoff = time.Minute
)

func newTransport() http.RoundTripper {
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport // somebody's own, with its own bounds
	}
	t = t.Clone()
	t.MaxResponseHeaderBytes = maxResponseHeader
	return t
}

// newClient asks the servers that the configuration names, or that their discovery documents
// do, and nobody else: what answers for an issuer decides which tokens are good.
func newClient(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport: transport,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			switch first := via[0].URL; {
			case len(via) > maxRedirects:
				return errors.New("too many redirects")
			case r.URL.Scheme != first.Scheme || r.URL.Host != first.Host:
				return errors.New("redirected to another server")
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
			return nil, fmt.Errorf("discovery document: %w", err)
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
		if !keysMayBeAt(issuer, doc.JWKSURI) {
			return nil, errors.New("discovery document: jwks_uri is not a URL as secure as the issuer's")
		}
		return a.get(ctx, doc.JWKSURI)
	}
}

// keysMayBeAt reports whether an issuer's keys may be fetched from an address that its
// discovery document names: of any server, as large issuers have it, with https; or from the
// issuer itself, where that is one without, within this machine.
func keysMayBeAt(issuer, address string) bool {
	from, err := url.Parse(issuer)
	if err != nil {
		return false
	}
	to, err := url.Parse(address)
	switch {
	case err != nil || to.Host == "" || to.User != nil:
		return false
	case to.Scheme == "https":
		return true
	}
	return to.Scheme == from.Scheme && to.Scheme == "http" && to.Host == from.Host
}

// get fetches a document. Errors leave the query of the address out, which may be secret.
func (a *Authenticator) get(ctx context.Context, address string) ([]byte, error) {
	shown, _, _ := strings.Cut(address, "?")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("get %s: malformed URL", shown)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := a.client.Do(req)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err // without the address
		}
		return nil, fmt.Errorf("get %s: %w", shown, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get %s: %s", shown, resp.Status)
	}
	b, err := readBounded(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", shown, err)
	}
	return b, nil
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
