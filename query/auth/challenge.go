package auth

// realm names what is protected, in WWW-Authenticate headers.
const realm = `Bearer realm="pinstatus"`

// ChallengeKey is the WWW-Authenticate header of a 401 where an API key is accepted. Basic is
// not named, though it is accepted: browsers would ask their users for a password.
const ChallengeKey = `App realm="pinstatus"`

// Challenge is the WWW-Authenticate header of a 401 by RFC 6750: a request without a token
// is told nothing but that it needs one.
func Challenge(e *Error) string {
	if e.Reason == ReasonMissing {
		return realm
	}
	return realm + `, error="invalid_token"`
}

// ChallengeScope is the WWW-Authenticate header of a 403 for want of a scope.
func ChallengeScope(scope string) string {
	return realm + `, error="insufficient_scope", scope="` + scope + `"`
}
