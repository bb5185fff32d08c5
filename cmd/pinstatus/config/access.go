package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// access checks who may read: the credentials of all tenants, and the origins of browser
// clients.
type access struct {
	*problems
	keys    map[string]string // path of the key that has a hash
	issuers map[[2]string]string
}

func newAccess(p *problems) *access {
	return &access{problems: p, keys: map[string]string{}, issuers: map[[2]string]string{}}
}

func (a *access) validate(t *Tenant, path string) {
	for i := range t.APIKeys {
		a.key(&t.APIKeys[i], fmt.Sprintf("%s.apiKeys[%d]", path, i))
	}
	for i := range t.Issuers {
		a.issuer(&t.Issuers[i], fmt.Sprintf("%s.tokens[%d]", path, i))
	}
	origins := map[string]string{}
	for i, o := range t.CORSOrigins {
		path := fmt.Sprintf("%s.corsOrigins[%d]", path, i)
		if message := originFault(o); message != "" {
			a.add(path, "%s", message)
			continue
		}
		unique(a.problems, origins, o, path, "the origin stands already at %s")
	}
}

// key checks one API key. Its name may be another's, too: that is how a key is replaced.
func (a *access) key(k *APIKey, path string) {
	if name(a.problems, path+".name", k.Name, maxKeyName) && strings.Contains(k.Name, ":") {
		a.add(path+".name", "must not hold a colon: clients send name:key")
	}
	switch k.SHA256 {
	case [sha256.Size]byte{}:
		a.add(path+".sha256", "is required: the SHA-256 of the key in hexadecimal")
	case sha256.Sum256(nil), sha256.Sum256([]byte("\n")):
		a.add(path+".sha256", "is the SHA-256 of nothing: the key was empty when it was hashed")
	default:
		unique(a.problems, a.keys, hex.EncodeToString(k.SHA256[:]), path+".sha256", "the same key stands already at %s: a key belongs to one tenant, once")
	}
	if k.Scopes != nil && len(k.Scopes) == 0 {
		a.add(path+".scopes", "must name a scope: %s, or be left out for %s", strings.Join(Scopes, " or "), ScopeDeliveriesRead)
	}
	scopes := map[string]string{}
	for i, s := range k.Scopes {
		path := fmt.Sprintf("%s.scopes[%d]", path, i)
		if !slices.Contains(Scopes, s) {
			a.add(path, "must be %s, not %q", strings.Join(Scopes, " or "), s)
			continue
		}
		unique(a.problems, scopes, s, path, "the scope stands already at %s")
	}
	if !k.NotBefore.IsZero() && !k.Expires.IsZero() && !k.NotBefore.Before(k.Expires) {
		a.add(path+".expires", "must lie after notBefore: the key would never be good")
	}
}

func (a *access) issuer(is *Issuer, path string) {
	if is.Issuer == "" {
		a.add(path+".issuer", `is required: the "iss" of the tokens`)
	} else {
		a.secureURL(path+".issuer", is.Issuer, false)
	}
	if is.Audience == "" {
		a.add(path+".audience", `is required: the "aud" of the tokens`)
	}
	if is.Issuer != "" && is.Audience != "" {
		pair := [2]string{is.Issuer, is.Audience}
		if first, ok := a.issuers[pair]; ok {
			a.add(path, "has the same issuer and audience as %s: tokens could not tell their tenants apart", a.where(first))
		} else {
			a.issuers[pair] = path
		}
	}
	if is.JWKSURL != "" {
		a.secureURL(path+".jwksURL", is.JWKSURL, true)
		if is.JWKSFile != "" {
			a.add(path+".jwksURL", "there is a jwksFile too: the keys come from one place")
		}
	}
	if is.JWKS != nil && is.JWKSFile == "" {
		if err := checkJWKS(is.JWKS); err != nil {
			a.add(path+".jwks", "%v", err)
		}
	}
}

// secureURL wants https, or http within this machine: whoever answers for the URL decides
// which tokens are good.
func (a *access) secureURL(path, s string, query bool) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		a.add(path, "must be a URL like https://id.example.com/, not %q", s)
	case u.User != nil:
		a.add(path, "must not hold a user name or password")
	case strings.Contains(s, "#") || !query && strings.Contains(s, "?"):
		a.add(path, "must not have a query or a fragment: %q", s)
	case u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()):
	case u.Scheme == "http":
		a.add(path, "must be https (http only on loopback): %q", s)
	default:
		a.add(path, "must be https: %q", s)
	}
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// originFault says why a text is not an origin as browsers send it; empty if it is one.
func originFault(o string) string {
	if o == "*" {
		// A preflight is answered before the tenant is known, for the origins of all of them.
		return `must name an origin: "*" would open every tenant to every web site`
	}
	u, err := url.Parse(o)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" {
		return fmt.Sprintf("must be an origin like https://app.example.com, not %q", o)
	}
	if u.User != nil || u.Path != "" || u.RawQuery != "" || u.ForceQuery || strings.Contains(o, "#") {
		return fmt.Sprintf("must end after the host and port, without a slash: %q", o)
	}
	if strings.Contains(u.Host, "*") {
		return fmt.Sprintf("must name one host: %q", o)
	}
	if u.Port() == "" && strings.HasSuffix(u.Host, ":") || slices.Contains([]string{"https:443", "http:80"}, u.Scheme+":"+u.Port()) {
		return fmt.Sprintf("must not name the default port, as browsers do not: %q", o)
	}
	if strings.ContainsFunc(o, func(r rune) bool { return r >= 'A' && r <= 'Z' || r > '~' }) {
		return fmt.Sprintf("must be in small ASCII letters, as browsers send it: %q", o)
	}
	if u.Port() != "" {
		if _, err := strconv.ParseUint(u.Port(), 10, 16); err != nil {
			return fmt.Sprintf("has no valid port: %q", o)
		}
	}
	return ""
}
