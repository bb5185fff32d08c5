package config

import (
	"crypto/sha256"
	"fmt"
	"time"
)

// Config is a whole configuration that has been checked. It is not changed once made: a
// reload makes a new one.
type Config struct {
	file    string   // empty if it was not read from a file
	sources []string // every file it was read from
	digest  [sha256.Size]byte
	lines   map[string]int // of members, by path
	tenants []Tenant
}

// Tenant is one customer of the installation: the policy that its events are folded with,
// and the credentials that may read what comes of it.
type Tenant struct {
	ID            string
	PolicyVersion uint64 // raised with every change of the policy, at least 1

	MaxClockSkew    time.Duration // how far an event's time may lie ahead of the broker's
	AllowedLateness time.Duration // how far behind an account's newest event others are folded in order
	CodeRetention   time.Duration // how long a PIN code's view lives after its newest event
	UserPINType     string        // the PIN type that the long-poll dialect asks for
	PINTypes        []PINType     // in the order in which they are answered

	APIKeys     []APIKey
	Issuers     []Issuer
	CORSOrigins []string // origins of browser clients, as browsers send them
	Limits      Limits
}

// PINType is one kind of PIN that a tenant's accounts have.
type PINType struct {
	Name          string
	Description   string
	Mandatory     bool
	MaxAttempts   int             // failed attempts that lock the PIN
	LockDurations []time.Duration // of the first, second, … lock; the last repeats
}

// APIKey is the credential of a server-side client. The key itself is not kept. Several of a
// tenant may have one name: the old key of a client and its new one.
type APIKey struct {
	Name      string
	SHA256    [sha256.Size]byte
	Scopes    []string  // deliveries:read if nil
	NotBefore time.Time // when it begins to be good; at once if zero
	Expires   time.Time // when it ends to be; never if zero
}

// Issuer is who signs a tenant's tokens. Its keys come from JWKS where that is not nil,
// else from JWKSURL, else by discovery from the issuer.
type Issuer struct {
	Issuer   string
	Audience string
	JWKSFile string // where JWKS was read from; empty if it was not read from a file
	JWKSURL  string
	JWKS     []byte // a JSON Web Key Set
}

// Limits bound what one tenant may use of a query service.
type Limits struct {
	RequestsPerSecond int
	Waiters           int // long polls and watches at the same time
	WaitersPerAccount int
}

// The scopes that an API key may have.
const (
	ScopeDeliveriesRead = "deliveries:read"
	ScopePINsRead       = "pins:read"
)

// Scopes are all of them.
var Scopes = []string{ScopeDeliveriesRead, ScopePINsRead}

// NewTenant is a tenant with the default of every member that has one.
func NewTenant(id string) Tenant {
	return Tenant{
		ID:              id,
		PolicyVersion:   1,
		MaxClockSkew:    5 * time.Second,
		AllowedLateness: time.Hour,
		CodeRetention:   30 * 24 * time.Hour,
		Limits:          Limits{RequestsPerSecond: 500, Waiters: 10_000, WaitersPerAccount: 20},
	}
}

// NewPINType is an optional PIN type that is locked for a minute after three failed
// attempts: the defaults.
func NewPINType(name string) PINType {
	return PINType{Name: name, Description: name, MaxAttempts: 3, LockDurations: []time.Duration{time.Minute}}
}

// New checks tenants that were not read from a file and makes a configuration of them.
// The error joins one *Error for each thing that is wrong.
func New(tenants ...Tenant) (*Config, error) {
	for i := range tenants {
		if t := &tenants[i]; t.UserPINType == "" && len(t.PINTypes) > 0 {
			t.UserPINType = t.PINTypes[0].Name
		}
	}
	p := newProblems("")
	validate(p, tenants)
	if err := p.err(); err != nil {
		return nil, err
	}
	return &Config{tenants: tenants}, nil
}

// maxFile is the largest configuration file that is read, in bytes.
const maxFile = 16 << 20

// Load reads and checks a configuration file and the key sets that it names. The error
// joins one *Error for each thing that is wrong, in the order of their lines.
func Load(file string) (*Config, error) {
	text, err := readFile(file, maxFile)
	if err != nil {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	c, p := parse(file, text)
	if err := p.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// parse is Load of a text: relative names in it are relative to the folder of file. The
// configuration is good only if there are no problems.
func parse(file string, text []byte) (*Config, *problems) {
	p := newProblems(file)
	c := &Config{file: file, sources: []string{file}, lines: p.lines}
	digest := sha256.New()
	_, _ = digest.Write(text)

	c.tenants = decode(p, text)
	if !p.fatal {
		validate(p, c.tenants)
	}
	for i := range c.tenants {
		for j := range c.tenants[i].Issuers {
			is := &c.tenants[i].Issuers[j]
			if is.JWKSFile == "" {
				continue
			}
			readJWKS(p, fmt.Sprintf("tenants[%d].tokens[%d].jwksFile", i, j), file, is)
			c.sources = append(c.sources, is.JWKSFile)
			_, _ = digest.Write(is.JWKS)
		}
	}
	c.digest = [sha256.Size]byte(digest.Sum(nil))
	return c, p
}
