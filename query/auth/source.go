package auth

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pinstatus/pinstatus/query"
)

// keySource is where the keys of one or more issuers come from, and the keys as they came
// last.
type keySource struct {
	name    string                                // for people: without the query of a URL, which may be secret
	fetch   func(context.Context) ([]byte, error) // nil for keys that are given
	keys    atomic.Pointer[keySet]                // nil until they came once; kept when a fetch fails
	fetched atomic.Int64                          // when they came last, in ns since 1970; 0 if they never did
	waiting atomic.Int64                          // tokens that wait for a fetch

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
	name, fetch := "issuer "+i.Issuer, a.discover(i.Issuer)
	location := name
	switch {
	case i.JWKS != nil:
		name, fetch = "keys given for issuer "+i.Issuer, nil
		location = fmt.Sprintf("%s: %x", name, sha256.Sum256(i.JWKS))
	case i.JWKSURL != "":
		name, _, _ = strings.Cut("url "+i.JWKSURL, "?")
		location, fetch = "url "+i.JWKSURL, a.fetchURL(i.JWKSURL)
	}
	src := next.sources[location]
	if src == nil {
		src = old.sources[location]
	}
	if src == nil {
		src = &keySource{name: name, fetch: fetch, ended: make(chan struct{})}
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

// tenantsOf are the ids of the tenants whose tokens the keys of a source verify.
func (st *state) tenantsOf(src *keySource) []string {
	var ids []string
	for _, audiences := range st.issuers {
		for _, a := range audiences {
			if a.keys == src && !slices.Contains(ids, a.tenant.ID) {
				ids = append(ids, a.tenant.ID)
			}
		}
	}
	return ids
}

// replace puts a newer key set in place, unless it is the same document, and returns how many
// keys of the older one it lacks.
func (s *keySource) replace(set *keySet) (removed int) {
	old := s.keys.Load()
	if old != nil && old.raw == set.raw {
		return 0
	}
	s.keys.Store(set)
	return set.lacks(old)
}
