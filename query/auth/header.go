package auth

import (
	"net/http"
	"strings"
)

// scheme splits the value of an Authorization header; ok if it begins with the named
// scheme, in any case, and something follows.
func scheme(value, name string) (credential string, ok bool) {
	head, rest, found := strings.Cut(value, " ")
	rest = strings.Trim(rest, " ")
	return rest, found && strings.EqualFold(head, name) && rest != ""
}

// one is the single value among those given; empty if there is none. Equal values count
// as one; with different ones it cannot be told which the client means.
func one(values []string) (value string, err *Error) {
	for _, v := range values {
		switch {
		case value == "":
			value = v
		case v != value:
			return "", &Error{Reason: ReasonMalformed}
		}
	}
	if value == "" {
		return "", &Error{Reason: ReasonMissing}
	}
	return value, nil
}

// BearerToken is the token of a request by RFC 6750: "Authorization: Bearer <token>". The
// error is an *Error.
func (a *Authenticator) BearerToken(r *http.Request) (string, error) {
	value, bad := one(r.Header.Values("Authorization"))
	token, ok := scheme(value, "Bearer")
	if bad == nil && !ok {
		bad = &Error{Reason: ReasonMalformed}
	}
	if bad != nil {
		return "", a.refuse(r.Context(), bad)
	}
	return token, nil
}

// LooseToken is the token of a request as published clients send it: in the header
// Authorization or Authorisation, with or without "Bearer" before it. The error is an
// *Error.
func (a *Authenticator) LooseToken(r *http.Request) (string, error) {
	tokens := make([]string, 0, 2)
	for _, name := range []string{"Authorization", "Authorisation"} {
		for _, value := range r.Header.Values(name) {
			if token, ok := scheme(value, "Bearer"); ok {
				value = token
			}
			tokens = append(tokens, value)
		}
	}
	token, bad := one(tokens)
	if bad != nil {
		return "", a.refuse(r.Context(), bad)
	}
	return token, nil
}
