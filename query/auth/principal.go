package auth

import (
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

	// Client says that a token is for one account, AccountID: it reads that account only,
	// whatever its scopes. AccountID is as in the token, and may be no valid id; it is
	// empty where the token's account_id is empty, null or no string, and no account is
	// linked.
	Client    bool
	AccountID string

	Expires time.Time // of a token, leeway included; zero for an API key
}

// Has reports whether the credential has the scope.
func (p *Principal) Has(scope string) bool { return slices.Contains(p.Scopes, scope) }
