package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pinstatus/pinstatus/query"
)

const (
	// maxTokenBytes bounds a token: nobody is known to be honest before it is verified.
	maxTokenBytes = 8 << 10

	// Leeway is how far issuers' clocks and this one may lie apart.
	Leeway = 30 * time.Second

	// keyWait is how long a token that names an unknown key waits for a fetch of its
	// issuer's keys.
	keyWait = 3 * time.Second

	// maxKeyWaiters bounds how many tokens wait for a fetch from one source. The others are
	// refused at once: a flood of them must not hold as many requests.
	maxKeyWaiters = 1000
)

// tokenID is the SHA-256 of a token: the token itself is not kept.
type tokenID [sha256.Size]byte

// verified is a token that was accepted once. It is accepted again while the tenants and
// the issuer's keys are the ones it was verified with.
type verified struct {
	principal *Principal
	state     *state
	source    *keySource
	keys      *keySet
}

func newParser(now func() time.Time) *jwt.Parser {
	// Issuer and audience are not options here: they pick the tenant, and with it the key
	// (see match). A token of which they match nothing has no key.
	return jwt.NewParser(
		jwt.WithValidMethods(Algorithms),
		jwt.WithExpirationRequired(),
		jwt.WithLeeway(Leeway),
		jwt.WithTimeFunc(now),
		jwt.WithStrictDecoding(),
	)
}

// Token checks a token. The error is an *Error, or query.ErrUnavailable where the keys of
// the token's issuer have never been fetched.
func (a *Authenticator) Token(ctx context.Context, token string) (*Principal, error) {
	if len(token) > maxTokenBytes {
		return nil, a.refuse(ctx, &Error{Reason: ReasonOversize})
	}
	id := tokenID(sha256.Sum256([]byte(token)))
	st := a.state.Load()
	if v, ok := a.tokens.Get(id); ok && v.state == st && v.source.keys.Load() == v.keys {
		if !a.opts.Now().Before(v.principal.Expires) {
			return nil, a.refuse(ctx, &Error{Reason: ReasonExpired, of: v.principal.party()})
		}
		a.metrics.cached.Inc()
		return accepted(ctx, v.principal), nil
	}
	v, err := a.verify(st, token)
	var unknown *unknownKeyError
	if errors.As(err, &unknown) && a.refetch(ctx, unknown.source) {
		v, err = a.verify(st, token)
	}
	var bad *Error
	switch {
	case errors.As(err, &bad):
		return nil, a.refuse(ctx, bad)
	case err != nil:
		return nil, err
	}
	if v.principal.Credential == "" {
		v.principal.Credential = "token:" + hex.EncodeToString(id[:])
	}
	a.tokens.Put(id, v)
	a.metrics.verified.Inc()
	return accepted(ctx, v.principal), nil
}

// unknownKeyError: the token names a key that its issuer does not have, or not yet.
type unknownKeyError struct{ source *keySource }

func (e *unknownKeyError) Error() string { return "the issuer has no such key" }

// refetch has a source's keys fetched for a token that names an unknown key, and reports
// whether they were.
func (a *Authenticator) refetch(ctx context.Context, src *keySource) bool {
	defer src.waiting.Add(-1)
	if src.waiting.Add(1) > maxKeyWaiters {
		return false
	}
	ended := src.want(a.opts.Now())
	if ended == nil {
		return false
	}
	a.wakeRun()
	timer := time.NewTimer(keyWait)
	defer timer.Stop()
	select {
	case <-ended:
		return true
	case <-timer.C:
		return false
	case <-ctx.Done():
		return false
	}
}

func (a *Authenticator) verify(st *state, token string) (*verified, error) {
	v := &verified{state: st}
	c := &claims{}
	var aud audience
	parsed, err := a.parser.ParseWithClaims(token, c, func(t *jwt.Token) (any, error) {
		if _, ok := t.Header["crit"]; ok {
			// RFC 7515: what must be understood and is not refuses the token.
			return nil, &Error{Reason: ReasonMalformed}
		}
		var bad *Error
		if aud, bad = st.match(c); bad != nil {
			return nil, bad
		}
		v.source = aud.keys
		v.keys = aud.keys.keys.Load()
		if v.keys == nil {
			return nil, fmt.Errorf("%w: keys of the token's issuer not fetched yet", query.ErrUnavailable)
		}
		kid, ok := t.Header["kid"].(string)
		if !ok && t.Header["kid"] != nil {
			return nil, &Error{Reason: ReasonMalformed}
		}
		key, ok := v.keys.find(kid, t.Method.Alg())
		if !ok {
			return nil, &unknownKeyError{source: aud.keys}
		}
		return key, nil
	})
	if err != nil {
		named := party{}
		if len(st.issuers[c.Issuer]) > 0 {
			named.issuer = c.Issuer
		}
		if errors.Is(err, jwt.ErrTokenInvalidClaims) { // found after the signature was good
			named.tenant = aud.tenant.ID
		}
		if parsed != nil && parsed.Method != nil && !slices.Contains(Algorithms, parsed.Method.Alg()) {
			return nil, &Error{Reason: ReasonAlgorithm, Err: err, of: named}
		}
		return nil, tokenError(err, named)
	}
	p := &Principal{
		Tenant:    aud.tenant,
		Issuer:    c.Issuer,
		Scopes:    strings.Fields(c.scope),
		Client:    c.client,
		AccountID: c.accountID,
		Expires:   c.ExpiresAt.Add(Leeway),
	}
	if c.Subject != "" {
		p.Credential = "subject:" + aud.tenant.ID + ":" + c.Issuer + ":" + c.Subject
	}
	v.principal = p
	return v, nil
}

// match is the tenant that the token is for, by its issuer and its audiences. A token that
// is for several tenants is for none.
func (st *state) match(c *claims) (audience, *Error) {
	trusted := st.issuers[c.Issuer]
	if c.Issuer == "" || len(trusted) == 0 {
		return audience{}, &Error{Reason: ReasonIssuer}
	}
	var found audience
	for _, aud := range trusted {
		if !slices.Contains(c.Audience, aud.name) {
			continue
		}
		if found.tenant != nil && found.tenant != aud.tenant {
			return audience{}, &Error{Reason: ReasonAudience}
		}
		if found.tenant == nil {
			found = aud
		}
	}
	if found.tenant == nil {
		return audience{}, &Error{Reason: ReasonAudience}
	}
	return found, nil
}

// tokenError is the parser's error as an *Error, or as query.ErrUnavailable.
func tokenError(err error, of party) error {
	var bad *Error
	var unknown *unknownKeyError
	switch {
	case errors.Is(err, query.ErrUnavailable):
		return err
	case errors.As(err, &bad):
		return &Error{Reason: bad.Reason, Err: bad.Err, of: of}
	case errors.As(err, &unknown):
		return &Error{Reason: ReasonSigningKey, Err: unknown, of: of}
	}
	reason := ReasonMalformed
	for _, k := range []struct {
		is     error
		reason Reason
	}{
		{jwt.ErrTokenExpired, ReasonExpired},
		{jwt.ErrTokenNotValidYet, ReasonNotYetValid},
		{jwt.ErrTokenInvalidClaims, ReasonClaims},
		{jwt.ErrTokenMalformed, ReasonMalformed},
		{jwt.ErrTokenUnverifiable, ReasonAlgorithm}, // alg is missing, or nobody's
		{jwt.ErrTokenSignatureInvalid, ReasonSignature},
	} {
		if errors.Is(err, k.is) {
			reason = k.reason
			break
		}
	}
	return &Error{Reason: reason, Err: err, of: of}
}
