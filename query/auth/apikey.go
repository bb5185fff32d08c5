package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"hash/maphash"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pinstatus/pinstatus/query"
)

// maxAPIKeyBytes bounds what is hashed for a request that may be anybody's.
const maxAPIKeyBytes = 1 << 10

// defaultKeyScopes are those of an API key that names none.
var defaultKeyScopes = []string{ScopeDeliveriesRead}

// apiKeys finds API keys by their SHA-256.
//
// The digest decides the slot through a hash with a secret seed, and is then compared in
// constant time with those in the slot. So how long a look-up takes says nothing about
// the digests that are stored, and it does not grow with their number.
type apiKeys struct {
	seed  maphash.Seed
	slots map[uint64][]apiKey
}

type apiKey struct {
	digest    [sha256.Size]byte
	notBefore time.Time    // zero if it is good at once
	used      *atomic.Bool // since expiring keys were looked through last; outlives a reload
	principal *Principal
}

// newAPIKeys are the tenants' keys; old are those before.
func newAPIKeys(d *query.Directory, old *apiKeys) *apiKeys {
	k := &apiKeys{seed: maphash.MakeSeed(), slots: make(map[uint64][]apiKey)}
	for _, t := range d.Tenants() {
		for _, key := range t.APIKeys {
			scopes := key.Scopes
			if len(scopes) == 0 {
				scopes = defaultKeyScopes
			}
			used := new(atomic.Bool)
			if before := old.find(key.SHA256); before != nil {
				used = before.used
			}
			slot := maphash.Bytes(k.seed, key.SHA256[:])
			k.slots[slot] = append(k.slots[slot], apiKey{
				digest:    key.SHA256,
				notBefore: key.NotBefore,
				used:      used,
				principal: &Principal{
					Tenant:     t,
					Credential: "key:" + hex.EncodeToString(key.SHA256[:]),
					Scopes:     scopes,
					Key:        key.Name,
					Expires:    key.Expires,
				},
			})
		}
	}
	return k
}

// find is the key with the digest; nil if there is none.
func (k *apiKeys) find(digest [sha256.Size]byte) *apiKey {
	if k == nil {
		return nil
	}
	slot := k.slots[maphash.Bytes(k.seed, digest[:])]
	for i := range slot {
		if subtle.ConstantTimeCompare(slot[i].digest[:], digest[:]) == 1 {
			return &slot[i]
		}
	}
	return nil
}

// APIKey checks the API key of a request: "Authorization: App <key>", or "Basic" with the
// key's name and the key. The key must have the scope. The error is an *Error.
func (a *Authenticator) APIKey(r *http.Request, scope string) (*Principal, error) {
	value, bad := one(r.Header.Values("Authorization"))
	if bad != nil {
		return nil, a.refuse(r.Context(), bad)
	}
	p, bad := a.apiKey(value)
	if bad == nil && !p.Has(scope) {
		bad = &Error{Reason: ReasonScope, of: p.party()}
	}
	if bad != nil {
		return nil, a.refuse(r.Context(), bad)
	}
	return accepted(r.Context(), p), nil
}

// apiKey is who has the API key in the value of an Authorization header.
func (a *Authenticator) apiKey(value string) (*Principal, *Error) {
	key, ok := scheme(value, "App")
	name := ""
	basic := false
	if !ok {
		name, key, basic = basicCredential(value)
		if !basic {
			return nil, &Error{Reason: ReasonMalformed}
		}
	}
	if len(key) > maxAPIKeyBytes {
		return nil, &Error{Reason: ReasonOversize}
	}
	found := a.state.Load().apiKeys.find(sha256.Sum256([]byte(key)))
	if found == nil {
		return nil, &Error{Reason: ReasonUnknownKey}
	}
	p, now := found.principal, a.opts.Now()
	switch {
	case basic && p.Key != name:
		return nil, &Error{Reason: ReasonUnknownKey, of: p.party()}
	case now.Before(found.notBefore):
		return nil, &Error{Reason: ReasonNotYetValid, of: p.party()}
	case !p.Expires.IsZero() && !now.Before(p.Expires):
		return nil, &Error{Reason: ReasonExpired, of: p.party()}
	}
	if !found.used.Load() { // a write of every request would have the cores wait for one another
		found.used.Store(true)
	}
	return p, nil
}

// basicCredential is the user and password of RFC 7617.
func basicCredential(value string) (name, key string, ok bool) {
	encoded, ok := scheme(value, "Basic")
	if !ok || len(encoded) > 2*maxAPIKeyBytes {
		return "", "", false
	}
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return "", "", false
	}
	return strings.Cut(string(decoded), ":")
}
