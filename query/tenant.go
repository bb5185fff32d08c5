package query

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// Tenant is what the query service knows of one tenant. It is not changed once it is in a
// Directory: a reload makes a new one.
type Tenant struct {
	ID            string
	PolicyVersion uint64    // of what follows down to PINTypes
	PINTypes      []PINType // in the order in which they are answered; at least one
	UserPINType   string    // the type that a user's PIN check asks for; default the first
	APIKeys       []APIKey
	Issuers       []Issuer
	CORSOrigins   []string // origins of browser clients, as browsers write them
	Limits        Limits
}

// PINType is one type of PIN that a tenant defines.
type PINType struct {
	Name          string
	Description   string
	Mandatory     bool
	MaxAttempts   int             // failed attempts that lock the PIN
	LockDurations []time.Duration // of the first, second, … lock; the last repeats
}

// APIKey is one API key of a tenant. The key itself is not kept. Several may have one name:
// a client's old key and its new one.
type APIKey struct {
	Name   string
	SHA256 [sha256.Size]byte // of the key
	Scopes []string          // empty: deliveries:read

	NotBefore time.Time // before it the key is not accepted yet; zero: at once
	Expires   time.Time // from it on the key is not accepted any more; zero: never
}

// Issuer is who may issue tokens for a tenant. Its keys are JWKS, or else come from
// JWKSURL, or from the issuer's discovery document.
type Issuer struct {
	Issuer   string          // the token's iss
	Audience string          // one of the token's aud
	JWKS     json.RawMessage // a JWK set (RFC 7517); nil if the keys are to be fetched
	JWKSURL  string
}

// Limits bound what one tenant may ask. Zero means the default.
type Limits struct {
	RequestsPerSecond int // of one credential; default 500
	Waiters           int // waiting requests of the tenant, in this process; default 10,000
	WaitersPerAccount int // waiting requests for one account or PIN code, in this process; default 20
}

// Defaults of Limits.
const (
	DefaultRequestsPerSecond = 500
	DefaultWaiters           = 10_000
	DefaultWaitersPerAccount = 20
)

func (l *Limits) setDefaults() {
	for _, f := range []struct {
		value *int
		def   int
	}{
		{&l.RequestsPerSecond, DefaultRequestsPerSecond},
		{&l.Waiters, DefaultWaiters},
		{&l.WaitersPerAccount, DefaultWaitersPerAccount},
	} {
		if *f.value == 0 {
			*f.value = f.def
		}
	}
}

// Directory is all tenants at one time. It is not changed once it is made.
type Directory struct {
	tenants []*Tenant
	origins map[string]bool
}

// NewDirectory checks the tenants together and fills in defaults. It refuses what would
// leave open which tenant a credential belongs to: two tenants with one id, with one API
// key, or with one pair of issuer and audience.
func NewDirectory(tenants []Tenant) (*Directory, error) {
	d := &Directory{origins: make(map[string]bool)}
	ids := make(map[string]bool)
	keys := make(map[[sha256.Size]byte]bool)
	type pair struct{ issuer, audience string }
	pairs := make(map[pair]bool)
	for _, t := range tenants {
		if !event.ValidTenant(t.ID) {
			return nil, fmt.Errorf("tenant %q: id does not match [a-z0-9][a-z0-9-]{0,62}", t.ID)
		}
		if ids[t.ID] {
			return nil, fmt.Errorf("tenant %q: defined twice", t.ID)
		}
		ids[t.ID] = true
		if err := t.complete(); err != nil {
			return nil, fmt.Errorf("tenant %q: %w", t.ID, err)
		}
		for _, k := range t.APIKeys {
			if keys[k.SHA256] {
				return nil, fmt.Errorf("tenant %q: API key %q is defined twice", t.ID, k.Name)
			}
			keys[k.SHA256] = true
		}
		for _, i := range t.Issuers {
			p := pair{i.Issuer, i.Audience}
			if i.Issuer == "" || i.Audience == "" {
				return nil, fmt.Errorf("tenant %q: an issuer needs both issuer and audience", t.ID)
			}
			if pairs[p] {
				return nil, fmt.Errorf("tenant %q: issuer %q with audience %q is defined twice", t.ID, i.Issuer, i.Audience)
			}
			pairs[p] = true
		}
		for _, o := range t.CORSOrigins {
			d.origins[o] = true
		}
		d.tenants = append(d.tenants, &t)
	}
	return d, nil
}

func (t *Tenant) complete() error {
	t.Limits.setDefaults()
	if len(t.PINTypes) == 0 {
		return errors.New("no PIN types")
	}
	if t.UserPINType == "" {
		t.UserPINType = t.PINTypes[0].Name
	}
	seen := make(map[string]bool, len(t.PINTypes))
	for _, p := range t.PINTypes {
		if !ValidID(p.Name) {
			return errors.New("a PIN type without a proper name")
		}
		if seen[p.Name] {
			return fmt.Errorf("PIN type %q: defined twice", p.Name)
		}
		seen[p.Name] = true
	}
	if !seen[t.UserPINType] {
		return fmt.Errorf("the user's PIN type %q is not one of its PIN types", t.UserPINType)
	}
	return nil
}

// Tenants are all tenants, in the order given. The slice is not to be changed.
func (d *Directory) Tenants() []*Tenant { return d.tenants }

// AllowsOrigin reports whether any tenant allows the origin: what can be answered where no
// tenant is known yet.
func (d *Directory) AllowsOrigin(origin string) bool { return d.origins[origin] }
