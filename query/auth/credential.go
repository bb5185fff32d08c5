package auth

import "net/http"

// Credential checks whichever credential a request has: a token as "Authorization: Bearer
// <token>", or an API key as "App <key>" or as "Basic" with the key's name and the key. What
// it may read is for the caller to ask of the Principal. The error is an *Error, or
// query.ErrUnavailable where the keys of the token's issuer have never been fetched.
func (a *Authenticator) Credential(r *http.Request) (*Principal, error) {
	value, bad := one(r.Header.Values("Authorization"))
	if bad != nil {
		return nil, a.refuse(r.Context(), bad)
	}
	if token, ok := scheme(value, "Bearer"); ok {
		return a.Token(r.Context(), token)
	}
	p, bad := a.apiKey(value)
	if bad != nil {
		return nil, a.refuse(r.Context(), bad)
	}
	return accepted(r.Context(), p), nil
}
