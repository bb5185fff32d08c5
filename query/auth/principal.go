package auth

import (
	"context"
	"slices"
	"time"

	"github.com/pinstatus/pinstatus/query"
)

// Scopes that the API knows.
const (
	ScopeDeliveriesRead = "deliveries:read"
	ScopePINsRead       = "pins:read"
	ScopeUserPINCheck   = "user:users.pin:check"
)

// Principal is who asks.
type Principal struct {
	Tenant *query.Tenant

	// Credential names the API key or the token's subject among all others, for rate
	// limits. It is not for logs.
	Credential string

	Scopes []string

	Key    string // name of the API key; empty for a token
	Issuer string // of the token; empty for an API key

	// Client says that a token is for one account, AccountID: it reads that account only,
	// whatever its scopes. AccountID is as in the token, and may be no valid id; it is
	// empty where the token's account_id is empty, null or no string, and no account is
	// linked.
	Client    bool
	AccountID string

	// Expires is when the credential ends: a token's exp with the leeway, or the end of an
	// API key; zero if that has none.
	Expires time.Time
}

// accepted has the request with ctx known as the principal's tenant's.
func accepted(ctx context.Context, p *Principal) *Principal {
	query.SetTenant(ctx, p.Tenant)
	return p
}

func (p *Principal) party() party {
	return party{tenant: p.Tenant.ID, key: p.Key, issuer: p.Issuer}
}

// Has reports whether the credential has the scope.
func (p *Principal) Has(scope string) bool { return slices.Contains(p.Scopes, scope) }
