package userpin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pinstatus/pinstatus/projector/view"
	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/auth"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
)

func dialect(s *query.Service, a *auth.Authenticator) query.Dialect { return New(s, a) }

var (
	isSet = &view.Account{Exists: true, PINs: []view.PIN{{Type: "Parental", Set: true}}}
	unset = &view.Account{Exists: true, PINs: []view.PIN{{Type: "Parental"}}}
)

// faultOf is an error answer's body with its id left out.
func faultOf(t *testing.T, a querytest.Answer) (id, rest string) {
	t.Helper()
	var doc struct {
		Errors []struct {
			ID string `json:"id"`
		} `json:"errors"`
	}
	if err := json.Unmarshal([]byte(a.Body), &doc); err != nil || len(doc.Errors) != 1 || doc.Errors[0].ID == "" {
		t.Fatalf("body %q: not one error with an id: %v", a.Body, err)
	}
	id = doc.Errors[0].ID
	return id, strings.Replace(a.Body, `"id":"`+id+`"`, `"id":""`, 1)
}

const (
	notSet       = `{"errors":[{"id":"","status":"404","code":"pin-not-set","title":"Not found","detail":"The user has no PIN set."}]}`
	invalidToken = `{"errors":[{"id":"","status":"401","code":"invalid-token","title":"Unauthorized","detail":"The token is missing, malformed, expired, or cannot be verified."}]}`
	noIdentity   = `{"errors":[{"id":"","status":"401","code":"missing-linked-identity","title":"Unauthorized","detail":"The token names no account: the user has no linked identity."}]}`
	noScope      = `{"errors":[{"id":"","status":"403","code":"insufficient-scope","title":"Forbidden","detail":"The token lacks the scope user:users.pin:check."}]}`
	badTimeout   = `{"errors":[{"id":"","status":"400","code":"invalid-parameter","title":"Bad request","detail":"timeout is not an integer from 1 to 60.","source":{"parameter":"timeout"}}]}`
	tooMany      = `{"errors":[{"id":"","status":"429","code":"too-many-requests","title":"Too many requests","detail":"Too many requests with this token."}]}`
	tooManyWait  = `{"errors":[{"id":"","status":"429","code":"too-many-waiting-requests","title":"Too many requests","detail":"Too many requests are waiting already."}]}`
	internal     = `{"errors":[{"id":"","status":"501","code":"internal-fault","title":"Internal fault","detail":"The request cannot be answered now."}]}`
	notAllowed   = `{"errors":[{"id":"","status":"405","code":"method-not-allowed","title":"Method not allowed","detail":"This resource can only be read."}]}`
)

func checkFault(t *testing.T, a querytest.Answer, code int, body string) {
	t.Helper()
	_, rest := faultOf(t, a)
	if a.Code != code || rest != body {
		t.Errorf("answer is %d %s; want %d %s", a.Code, rest, code, body)
	}
	if c := a.Header.Get("Content-Type"); c != "application/vnd.api+json" {
		t.Errorf("Content-Type = %q", c)
	}
}

func claims(account string) querytest.Claims {
	return querytest.Claims{"account_id": account, "scope": "user:users.pin:check", "sub": account}
}

func bearer(r *querytest.Rig, c querytest.Claims) string {
	return "Authorization: Bearer " + r.Token(c)
}

func TestAnswers(t *testing.T) {
	r := querytest.Start(t, querytest.Config{}, dialect)
	r.Views.PutAccount("acme", "set", isSet)
	r.Views.PutAccount("acme", "unset", unset)
	r.Views.PutAccount("acme", "otherType", &view.Account{Exists: true, PINs: []view.PIN{{Type: "Purchase", Set: true}}})
	locked := view.PIN{Type: "Parental", Set: true, LockEnd: time.Now().Add(time.Hour).UnixNano()}
	r.Views.PutAccount("acme", "locked", &view.Account{Exists: true, PINs: []view.PIN{locked}})
	r.Views.SetLock("acme", "locked", "Parental", time.Hour)
	locked.Set = false
	r.Views.PutAccount("acme", "lockedUnset", &view.Account{Exists: true, PINs: []view.PIN{locked}})
	r.Views.SetLock("acme", "lockedUnset", "Parental", time.Hour)
	r.Views.PutAccount("acme", "deleted", &view.Account{PINs: isSet.PINs})
	r.Views.PutAccount("other", "theirs", isSet)

	set := bearer(r, claims("set"))
	unlinked := func(accountID string) string {
		return "Authorization: Bearer " + r.Key.SignRaw(t, fmt.Sprintf(`{"iss":%q,"aud":"acme","exp":%d,"scope":"user:users.pin:check","account_id":%s}`,
			querytest.Issuer, time.Now().Add(time.Hour).Unix(), accountID))
	}
	for _, tc := range []struct {
		name    string
		path    string
		headers []string
		code    int
		body    string
	}{
		{"set", "/user/pin", []string{set}, 200, ""},
		{"version", "/user/2024-1/user/pin", []string{set}, 200, ""},
		{"version of two digits", "/user/2024-11/user/pin", []string{set}, 200, ""},
		{"set, timeout", "/user/pin?timeout=60", []string{set}, 200, ""},
		{"set, shortest timeout", "/user/pin?timeout=1", []string{set}, 200, ""},
		{"set, other parameters", "/user/pin?x=1&timeout=5&y", []string{set}, 200, ""},
		{"set, semicolon", "/user/pin?x=a;b", []string{set}, 200, ""},
		{"set, malformed parameter", "/user/pin?x=%zz", []string{set}, 200, ""},
		{"set, malformed name", "/user/pin?%zz=1&timeout=5", []string{set}, 200, ""},
		{"set, timeout beside what is malformed", "/user/pin?x=a;b&timeout=5&y=%zz", []string{set}, 200, ""},
		{"locked", "/user/pin", []string{bearer(r, claims("locked"))}, 200, ""},
		{"locked, never set", "/user/pin", []string{bearer(r, claims("lockedUnset"))}, 404, notSet},
		{"unset", "/user/pin", []string{bearer(r, claims("unset"))}, 404, notSet},
		{"another type is set", "/user/pin", []string{bearer(r, claims("otherType"))}, 404, notSet},
		{"unknown account", "/user/pin", []string{bearer(r, claims("nobody"))}, 404, notSet},
		{"deleted account", "/user/pin", []string{bearer(r, claims("deleted"))}, 404, notSet},
		{"another tenant's account", "/user/pin", []string{bearer(r, claims("theirs"))}, 404, notSet},

		{"no token", "/user/pin", nil, 401, invalidToken},
		{"bare token", "/user/pin", []string{"Authorization: " + r.Token(claims("set"))}, 401, invalidToken},
		{"other spelling", "/user/pin", []string{"Authorisation: Bearer " + r.Token(claims("set"))}, 401, invalidToken},
		{"not a token", "/user/pin", []string{"Authorization: Bearer x"}, 401, invalidToken},
		{"no account", "/user/pin", []string{bearer(r, querytest.Claims{"scope": "user:users.pin:check"})}, 401, noIdentity},
		{"no account before no scope", "/user/pin", []string{bearer(r, nil)}, 401, noIdentity},
		{"empty account", "/user/pin", []string{bearer(r, claims(""))}, 401, noIdentity},
		{"account null", "/user/pin", []string{unlinked(`null`)}, 401, noIdentity},
		{"account no string", "/user/pin", []string{unlinked(`{}`)}, 401, noIdentity},
		{"no scope", "/user/pin", []string{bearer(r, querytest.Claims{"account_id": "set", "scope": "pins:read"})}, 403, noScope},
		{"scope before timeout", "/user/pin?timeout=x", []string{bearer(r, querytest.Claims{"account_id": "set"})}, 403, noScope},

		{"zero", "/user/pin?timeout=0", []string{set}, 400, badTimeout},
		{"too long", "/user/pin?timeout=61", []string{set}, 400, badTimeout},
		{"negative", "/user/pin?timeout=-1", []string{set}, 400, badTimeout},
		{"signed", "/user/pin?timeout=%2B5", []string{set}, 400, badTimeout},
		{"fraction", "/user/pin?timeout=1.5", []string{set}, 400, badTimeout},
		{"empty", "/user/pin?timeout=", []string{set}, 400, badTimeout},
		{"no value", "/user/pin?timeout", []string{set}, 400, badTimeout},
		{"twice", "/user/pin?timeout=1&timeout=1", []string{set}, 400, badTimeout},
		{"huge", "/user/pin?timeout=99999999999999999999", []string{set}, 400, badTimeout},
		{"malformed", "/user/pin?timeout=%zz", []string{set}, 400, badTimeout},
		{"semicolon", "/user/pin?timeout=5;x=1", []string{set}, 400, badTimeout},
		{"malformed, then not", "/user/pin?timeout=%zz&timeout=5", []string{set}, 400, badTimeout},
		{"twice, spelt otherwise", "/user/pin?timeout=5&%74imeout=5", []string{set}, 400, badTimeout},
		{"beside what is malformed", "/user/pin?x=%zz&timeout=0", []string{set}, 400, badTimeout},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := r.Get(tc.path, tc.headers...)
			if tc.code != 200 {
				checkFault(t, got, tc.code, tc.body)
			} else if d := got.Diff(200, ""); d != "" {
				t.Error(d)
			} else if c, ok := got.Header["Content-Type"]; ok {
				t.Errorf("Content-Type = %q; want none", c)
			}
			challenge := ""
			switch {
			case tc.code == 401 && tc.headers != nil && !strings.HasPrefix(tc.headers[0], "Authorisation"):
				challenge = `Bearer realm="pinstatus", error="invalid_token"`
			case tc.code == 401:
				challenge = `Bearer realm="pinstatus"`
			case tc.code == 403:
				challenge = `Bearer realm="pinstatus", error="insufficient_scope", scope="user:users.pin:check"`
			}
			if c := got.Header.Get("WWW-Authenticate"); c != challenge {
				t.Errorf("WWW-Authenticate = %q; want %q", c, challenge)
			}
		})
	}
	for _, path := range []string{"/user/2024/user/pin", "/user/2024-123/user/pin", "/user/x2024-1/user/pin", "/user//user/pin", "/user/2024-1/pin", "/user/pin/"} {
		if got := r.Get(path, set); got.Code != 404 || got.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s; want a plain 404", path, got.Code, got.Header.Get("Content-Type"))
		}
	}
	if d := r.Do(http.MethodHead, "/user/pin", set).Diff(200, ""); d != "" {
		t.Error(d)
	}
	checkFault(t, r.Do(http.MethodPost, "/user/pin", set), 405, notAllowed)
}

func TestUserPINType(t *testing.T) {
	r := querytest.Start(t, querytest.Config{Tenants: func(_ *querytest.Key, ts []query.Tenant) { ts[0].UserPINType = "Purchase" }}, dialect)
	r.Views.PutAccount("acme", "a", &view.Account{Exists: true, PINs: []view.PIN{{Type: "Purchase", Set: true}}})
	r.Views.PutAccount("acme", "b", isSet)
	if d := r.Get("/user/pin", bearer(r, claims("a"))).Diff(200, ""); d != "" {
		t.Error(d)
	}
	checkFault(t, r.Get("/user/pin", bearer(r, claims("b"))), 404, notSet)
}

func TestUnavailable(t *testing.T) {
	r := querytest.Start(t, querytest.Config{}, dialect)
	r.Views.Fail(errors.New("connection refused"))
	checkFault(t, r.Get("/user/pin", bearer(r, claims("a"))), 501, internal)
	checkFault(t, r.Get("/user/pin?timeout=60", bearer(r, claims("a"))), 501, internal)
	r.Views.Fail(nil)
	r.Views.Put(view.Key{Kind: view.KindAccount, Tenant: "acme", ID: "a"}, []byte{view.CodecVersion})
	checkFault(t, r.Get("/user/pin", bearer(r, claims("a"))), 501, internal)
}

func TestRate(t *testing.T) {
	r := querytest.Start(t, querytest.Config{Tenants: func(_ *querytest.Key, ts []query.Tenant) {
		ts[0].Limits.RequestsPerSecond = 1
	}}, dialect)
	checkFault(t, r.Get("/user/pin", bearer(r, claims("a"))), 404, notSet)
	got := r.Get("/user/pin", bearer(r, claims("a")))
	checkFault(t, got, 429, tooMany)
	if after := got.Header.Get("Retry-After"); after != "1" {
		t.Errorf("Retry-After = %q; want 1", after)
	}
}

func TestErrorIDsAreUniqueAndLogged(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	r := querytest.Start(t, querytest.Config{Log: zap.New(core)}, dialect)
	token := bearer(r, claims("an-account-id"))
	seen := make(map[string]bool)
	for range 50 { // more than the sampled access log lets by in a second
		id, _ := faultOf(t, r.Get("/user/pin", token, "X-Request-Id: same"))
		if seen[id] {
			t.Fatalf("id %s was answered twice", id)
		}
		seen[id] = true
	}
	querytest.Eventually(t, "all ids are in the log", func() bool {
		return logs.FilterMessage("error answered").Len() == len(seen)
	})
	for _, e := range logs.FilterMessage("error answered").All() {
		id, ok := e.ContextMap()["errorId"].(string)
		if !ok || !seen[id] {
			t.Errorf("logged id %q was not answered", id)
		}
	}
	for _, e := range logs.All() {
		if line := fmt.Sprint(e.Message, e.ContextMap()); strings.Contains(line, "an-account-id") {
			t.Errorf("the log names an account: %s", line)
		}
	}
}
