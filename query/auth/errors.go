package auth

// Reason says in one word why a credential is not accepted. Reasons are label values of
// metrics; clients are not told them, but for whether a credential was there at all.
type Reason string

// The reasons.
const (
	ReasonMissing     Reason = "missing"
	ReasonMalformed   Reason = "malformed"
	ReasonOversize    Reason = "oversize"
	ReasonUnknownKey  Reason = "unknown-key" // no such API key, or by another name
	ReasonAlgorithm   Reason = "algorithm"   // not one of Algorithms
	ReasonIssuer      Reason = "issuer"      // no tenant trusts the issuer
	ReasonAudience    Reason = "audience"    // meant for no tenant, or for several
	ReasonSigningKey  Reason = "signing-key" // the issuer has no such key for the algorithm
	ReasonSignature   Reason = "signature"
	ReasonExpired     Reason = "expired"
	ReasonNotYetValid Reason = "not-yet-valid"
	ReasonClaims      Reason = "claims" // a claim is missing or malformed

	// Of credentials that are good, but not for what is asked.
	ReasonScope   Reason = "scope"   // without the scope
	ReasonTenant  Reason = "tenant"  // what is asked for is another tenant's
	ReasonAccount Reason = "account" // a client's token, and another account or none
)

var reasons = []Reason{
	ReasonMissing, ReasonMalformed, ReasonOversize, ReasonUnknownKey, ReasonAlgorithm, ReasonIssuer, ReasonAudience, ReasonSigningKey,
	ReasonSignature, ReasonExpired, ReasonNotYetValid, ReasonClaims, ReasonScope, ReasonTenant, ReasonAccount,
}

// Error says that a request has no credential that is accepted.
type Error struct {
	Reason Reason
	Err    error // details; may be nil

	of party // who has the credential, as far as that is known
}

func (e *Error) Error() string {
	if e.Err != nil {
		return "not authenticated: " + string(e.Reason) + ": " + e.Err.Error()
	}
	return "not authenticated: " + string(e.Reason)
}

func (e *Error) Unwrap() error { return e.Err }
