package auth_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/auth"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
)

// request is a request with these Authorization headers.
func request(tb testing.TB, values ...string) *http.Request {
	tb.Helper()
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodGet, "/v1/pins/2B67", http.NoBody)
	for _, v := range values {
		r.Header.Add("Authorization", v)
	}
	return r
}

func basic(name, key string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+key))
}

// refusal is the reason of an error; empty without one.
func refusal(tb testing.TB, err error) auth.Reason {
	tb.Helper()
	var bad *auth.Error
	switch {
	case err == nil:
		return ""
	case !errors.As(err, &bad):
		tb.Fatalf("not an *auth.Error: %v", err)
	}
	return bad.Reason
}

func TestCredential(t *testing.T) {
	signer := querytest.NewKey(t, "k1", "ES256")
	exp := time.Now().Add(time.Hour).Truncate(time.Second)
	token := signer.Sign(t, querytest.Claims{"iss": issuer, "aud": "acme", "sub": "s", "exp": exp.Unix()})
	bad := signer.Sign(t, querytest.Claims{"iss": issuer, "aud": "other"})
	acme := tenant("acme", query.Issuer{Issuer: issuer, Audience: "acme", JWKS: querytest.KeySet(t, signer)})
	acme.APIKeys = []query.APIKey{{Name: "desk", SHA256: hash("secret"), Scopes: []string{auth.ScopePINsRead}, Expires: exp}}
	a := newAuth(t, auth.Options{}, acme)

	key := auth.Principal{Scopes: []string{auth.ScopePINsRead}, Key: "desk", Expires: exp}
	subject := auth.Principal{Scopes: []string{}, Issuer: issuer, Expires: exp.Add(auth.Leeway)}
	for _, tc := range []struct {
		name   string
		values []string
		want   *auth.Principal // but for its Tenant and Credential; nil if it is refused
		reason auth.Reason
	}{
		{"token", []string{"Bearer " + token}, &subject, ""},
		{"token, small letters", []string{"bearer  " + token}, &subject, ""},
		{"key", []string{"App secret"}, &key, ""},
		{"key, small letters", []string{"app secret"}, &key, ""},
		{"name and key", []string{basic("desk", "secret")}, &key, ""},
		{"the same twice", []string{"App secret", "App secret"}, &key, ""},

		{"none", nil, nil, auth.ReasonMissing},
		{"empty", []string{""}, nil, auth.ReasonMissing},
		{"two", []string{"App secret", "Bearer " + token}, nil, auth.ReasonMalformed},
		{"bare token", []string{token}, nil, auth.ReasonMalformed},
		{"bare key", []string{"secret"}, nil, auth.ReasonMalformed},
		{"another scheme", []string{"Digest secret"}, nil, auth.ReasonMalformed},
		{"no token", []string{"Bearer "}, nil, auth.ReasonMalformed},
		{"token of nobody's", []string{"Bearer " + bad}, nil, auth.ReasonAudience},
		{"token as a key", []string{"App " + token}, nil, auth.ReasonUnknownKey},
		{"key as a token", []string{"Bearer secret"}, nil, auth.ReasonMalformed},
		{"unknown key", []string{"App wrong"}, nil, auth.ReasonUnknownKey},
		{"unknown key by name", []string{basic("desk", "wrong")}, nil, auth.ReasonUnknownKey},
		{"another's name", []string{basic("other", "secret")}, nil, auth.ReasonUnknownKey},
		{"no colon", []string{"Basic " + base64.StdEncoding.EncodeToString([]byte("secret"))}, nil, auth.ReasonMalformed},
		{"not base64", []string{"Basic secret!"}, nil, auth.ReasonMalformed},
		{"oversized", []string{"App " + string(make([]byte, 2000))}, nil, auth.ReasonOversize},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := a.Credential(request(t, tc.values...))
			if got := refusal(t, err); got != tc.reason {
				t.Errorf("refused for %q; want %q", got, tc.reason)
			}
			if tc.want == nil || p == nil {
				if (tc.want == nil) != (p == nil) {
					t.Errorf("principal %+v; want %+v", p, tc.want)
				}
				return
			}
			want := *tc.want
			want.Tenant, want.Credential = a.Directory().Tenants()[0], p.Credential
			if d := cmp.Diff(want, *p); d != "" {
				t.Error(d)
			}
		})
	}
}

// Keys of an issuer that never came are no reason to refuse: nobody knows.
func TestCredentialWithoutKeys(t *testing.T) {
	signer := querytest.NewKey(t, "k1", "ES256")
	a := newAuth(t, auth.Options{}, tenant("acme", query.Issuer{Issuer: issuer, Audience: "acme"}))
	r := request(t, "Bearer "+signer.Sign(t, querytest.Claims{"iss": issuer, "aud": "acme"}))
	if _, err := a.Credential(r); !errors.Is(err, query.ErrUnavailable) {
		t.Errorf("error %v; want %v", err, query.ErrUnavailable)
	}
}
