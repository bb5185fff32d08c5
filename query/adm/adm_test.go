package adm

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/auth"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
)

func dialect(s *query.Service, a *auth.Authenticator) query.Dialect { return New(s, a) }

const (
	tenant  = "nv-tenant-id: acme"
	account = "/adm/v1/accounts/abc123/pins/status"
	user    = "/adm/v1/user/accounts/pins/status"
	types   = "/adm/v1/pinTypes"
)

func problem(code int, detail string) string {
	return fmt.Sprintf(`{"type":"about:blank","title":%q,"status":%d,"detail":%q}`, http.StatusText(code), code, detail)
}

var (
	unauthorized = problem(401, "The token is missing, malformed, expired, or cannot be verified.")
	noTenant     = problem(400, "The header nv-tenant-id is missing, or given more than once.")
	badAccount   = problem(400, "The account id is not 1 to 256 bytes of UTF-8 without control characters.")
	otherTenant  = problem(403, "The token is not for the tenant in nv-tenant-id.")
	noScope      = problem(403, "The token lacks the scope pins:read.")
	otherAccount = problem(403, "The token is for another account.")
	noAccount    = problem(403, "The token names no account.")
	notFound     = problem(404, "There is no such account.")
	unavailable  = problem(503, "The state of the account cannot be read now.")
)

const (
	unset = `{"totalRecords":2,"resourceSet":[` +
		`{"pinType":"Parental","status":"UNSET","extendedStatus":"MANDATORY","lockTimeRemaining":0},` +
		`{"pinType":"Purchase","status":"UNSET","extendedStatus":"OPTIONAL","lockTimeRemaining":0}]}`
	parentalSet = `{"totalRecords":2,"resourceSet":[` +
		`{"pinType":"Parental","status":"SET","extendedStatus":"MANDATORY","lockTimeRemaining":0},` +
		`{"pinType":"Purchase","status":"UNSET","extendedStatus":"OPTIONAL","lockTimeRemaining":0}]}`
)

func TestAnswers(t *testing.T) {
	r := querytest.Start(t, querytest.Config{}, dialect)
	set := &view.Account{Exists: true, PINs: []view.PIN{{Type: "Parental", Set: true}}}
	r.Views.PutAccount("acme", "abc123", set)
	r.Views.PutAccount("acme", "fresh", &view.Account{Exists: true, PINs: []view.PIN{{Type: "No longer defined", Set: true}}})
	r.Views.PutAccount("acme", "deleted", &view.Account{})
	r.Views.PutAccount("acme", "a/b", set)
	r.Views.PutAccount("other", "theirs", set)
	r.Views.Put(view.Key{Kind: view.KindAccount, Tenant: "acme", ID: "corrupt"}, []byte{view.CodecVersion})

	operator := r.Token(querytest.Claims{"scope": "a pins:read b"})
	client := r.Token(querytest.Claims{"account_id": "abc123"})
	clientScoped := r.Token(querytest.Claims{"account_id": "abc123", "scope": "pins:read"})
	otherClient := r.Token(querytest.Claims{"account_id": "fresh", "scope": "pins:read"})
	plain := r.Token(nil)
	theirs := r.Token(querytest.Claims{"aud": "other", "scope": "pins:read"})
	expired := r.Token(querytest.Claims{"exp": time.Now().Add(-time.Minute).Unix()})
	bearer := func(token string) string { return "Authorization: Bearer " + token }
	long := strings.Repeat("a", 257)
	claims := func(more string) string {
		return fmt.Sprintf(`{"iss":%q,"aud":"acme","exp":%d,"scope":"pins:read",%s}`, querytest.Issuer, time.Now().Add(time.Hour).Unix(), more)
	}
	unlinked := func(accountID string) string { return r.Key.SignRaw(t, claims(`"account_id":`+accountID)) }

	for _, tc := range []struct {
		name    string
		path    string
		headers []string
		code    int
		body    string
	}{
		{"operator", account, []string{bearer(operator), tenant}, 200, parentalSet},
		{"bearer in any case", account, []string{"Authorization: bEARER " + operator, tenant}, 200, parentalSet},
		{"bare token", account, []string{"Authorization: " + operator, tenant}, 200, parentalSet},
		{"other spelling", account, []string{"Authorisation: Bearer " + operator, tenant}, 200, parentalSet},
		{"other spelling, bare", account, []string{"Authorisation: " + operator, tenant}, 200, parentalSet},
		{"both spellings", account, []string{bearer(operator), "Authorisation: " + operator, tenant}, 200, parentalSet},
		{"no events of the types", "/adm/v1/accounts/fresh/pins/status", []string{bearer(operator), tenant}, 200, unset},
		{"escaped id", "/adm/v1/accounts/a%2Fb/pins/status", []string{bearer(operator), tenant}, 200, parentalSet},
		{"client in the operator's form", account, []string{bearer(clientScoped), tenant}, 200, parentalSet},
		{"client", user, []string{bearer(client), tenant}, 200, parentalSet},
		{"client with a scope", user, []string{bearer(otherClient), tenant}, 200, unset},
		{"types", types, []string{bearer(plain), tenant}, 200, `{"totalRecords":2,"resourceSet":[` +
			`{"value":"Parental","description":"Parental control PIN"},{"value":"Purchase","description":"Purchase"}]}`},
		{
			"types, another tenant's", types,
			[]string{bearer(theirs), "nv-tenant-id: other"},
			200,
			`{"totalRecords":1,"resourceSet":[{"value":"Parental","description":"Parental"}]}`,
		},

		{"no token", account, []string{tenant}, 401, unauthorized},
		{"no token, types", types, []string{tenant}, 401, unauthorized},
		{"not a token", account, []string{bearer("abc"), tenant}, 401, unauthorized},
		{"other scheme", account, []string{"Authorization: Basic abc", tenant}, 401, unauthorized},
		{"different tokens", account, []string{bearer(operator), "Authorisation: " + plain, tenant}, 401, unauthorized},
		{"expired", account, []string{bearer(expired), tenant}, 401, unauthorized},
		{"token before tenant", account, nil, 401, unauthorized},

		{"no tenant", account, []string{bearer(operator)}, 400, noTenant},
		{"empty tenant", account, []string{bearer(operator), "nv-tenant-id: "}, 400, noTenant},
		{"two tenants", account, []string{bearer(operator), tenant, "nv-tenant-id: other"}, 400, noTenant},
		{"no tenant, types", types, []string{bearer(operator)}, 400, noTenant},
		{"tenant given before scope", account, []string{bearer(plain)}, 400, noTenant},

		{"another tenant's token", account, []string{bearer(theirs), tenant}, 403, otherTenant},
		{"another tenant", account, []string{bearer(operator), "nv-tenant-id: other"}, 403, otherTenant},
		{"no such tenant", account, []string{bearer(operator), "nv-tenant-id: nobody"}, 403, otherTenant},
		{"types, another tenant", types, []string{bearer(operator), "nv-tenant-id: other"}, 403, otherTenant},
		{"no scope", account, []string{bearer(plain), tenant}, 403, noScope},
		{"client without scope in the operator's form", account, []string{bearer(client), tenant}, 403, noScope},
		{"client of another account", account, []string{bearer(otherClient), tenant}, 403, otherAccount},
		{"client without account", user, []string{bearer(operator), tenant}, 403, noAccount},
		{"account empty", user, []string{bearer(unlinked(`""`)), tenant}, 403, noAccount},
		{"account null", user, []string{bearer(unlinked(`null`)), tenant}, 403, noAccount},
		{"account no string", user, []string{bearer(unlinked(`["abc123"]`)), tenant}, 403, noAccount},
		{"account empty in the operator's form", account, []string{bearer(unlinked(`""`)), tenant}, 403, otherAccount},
		{"account null in the operator's form", account, []string{bearer(unlinked(`null`)), tenant}, 403, otherAccount},
		{"account no string in the operator's form", account, []string{bearer(unlinked(`1`)), tenant}, 403, otherAccount},
		{"account empty, so is the id", "/adm/v1/accounts//pins/status", []string{bearer(unlinked(`""`)), tenant}, 403, otherAccount},
		{"account spelt otherwise", account, []string{bearer(r.Key.SignRaw(t, claims(`"Account_ID":"abc123"`))), tenant}, 401, unauthorized},
		{"permission before id", "/adm/v1/accounts//pins/status", []string{bearer(plain), tenant}, 403, noScope},
		{"another account before id", "/adm/v1/accounts//pins/status", []string{bearer(clientScoped), tenant}, 403, otherAccount},

		{"empty id", "/adm/v1/accounts//pins/status", []string{bearer(operator), tenant}, 400, badAccount},
		{"id too long", "/adm/v1/accounts/" + long + "/pins/status", []string{bearer(operator), tenant}, 400, badAccount},
		{"control character", "/adm/v1/accounts/a%7F/pins/status", []string{bearer(operator), tenant}, 400, badAccount},
		{"malformed id in the token", user, []string{bearer(r.Token(querytest.Claims{"account_id": "a\x00"})), tenant}, 400, badAccount},

		{"unknown", "/adm/v1/accounts/nobody/pins/status", []string{bearer(operator), tenant}, 404, notFound},
		{"deleted", "/adm/v1/accounts/deleted/pins/status", []string{bearer(operator), tenant}, 404, notFound},
		{"another tenant's account", "/adm/v1/accounts/theirs/pins/status", []string{bearer(operator), tenant}, 404, notFound},
		{
			"unreadable view", "/adm/v1/accounts/corrupt/pins/status",
			[]string{bearer(operator), tenant},
			500,
			problem(500, "An internal fault occurred."),
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := r.Get(tc.path, tc.headers...)
			if d := got.Diff(tc.code, tc.body); d != "" {
				t.Error(d)
			}
			contentType := "application/problem+json"
			if tc.code == 200 {
				contentType = "application/json"
			}
			if c := got.Header.Get("Content-Type"); c != contentType {
				t.Errorf("Content-Type = %q; want %q", c, contentType)
			}
			challenge := ""
			switch {
			case tc.code == 401 && strings.Contains(strings.Join(tc.headers, "\n"), "Auth"):
				challenge = `Bearer realm="pinstatus", error="invalid_token"`
			case tc.code == 401:
				challenge = `Bearer realm="pinstatus"`
			case tc.body == noScope:
				challenge = `Bearer realm="pinstatus", error="insufficient_scope", scope="pins:read"`
			}
			if c := got.Header.Get("WWW-Authenticate"); c != challenge {
				t.Errorf("WWW-Authenticate = %q; want %q", c, challenge)
			}
		})
	}
}

func TestLock(t *testing.T) {
	r := querytest.Start(t, querytest.Config{}, dialect)
	now := time.Now()
	r.Views.SetNow(func() time.Time { return now })
	operator := "Authorization: Bearer " + r.Token(querytest.Claims{"scope": "pins:read"})
	const (
		ms    = time.Millisecond
		never = time.Duration(math.MinInt64)
	)
	for _, tc := range []struct {
		name   string
		set    bool
		key    time.Duration // that the lock key still lives; 0 none
		end    time.Duration // of the view's lock, from now
		limit  time.Duration // that the view's lock shows at most; 0 none
		status string
		left   int
	}{
		{"not locked", true, 0, never, 0, "SET", 0},
		{"not locked, not set", false, 0, never, 0, "UNSET", 0},
		{"whole seconds", true, 20 * time.Second, 20 * time.Second, 20 * time.Second, "LOCKED", 20},
		{"rounded up", true, 16*time.Second + ms, 17 * time.Second, 20 * time.Second, "LOCKED", 17},
		{"last millisecond", true, ms, ms, 20 * time.Second, "LOCKED", 1},
		{"locked and not set", false, 5 * time.Second, 5 * time.Second, 20 * time.Second, "LOCKED", 5},
		{"begins ahead: never more than its duration", true, 24 * time.Second, 24 * time.Second, 20 * time.Second, "LOCKED", 20},
		{"imposed: as long as it is", true, 90 * time.Second, 90 * time.Second, 0, "LOCKED", 90},
		{"key and view differ: the key counts", true, 10 * time.Second, 15 * time.Second, 20 * time.Second, "LOCKED", 10},
		{"key gone, lock runs", true, 0, 7*time.Second - ms, 20 * time.Second, "LOCKED", 7},
		{"key gone, lock ends in a nanosecond", true, 0, 1, 20 * time.Second, "LOCKED", 1},
		{"key gone, begins ahead", true, 0, 24 * time.Second, 20 * time.Second, "LOCKED", 20},
		{"key gone, at the very end", true, 0, 0, 20 * time.Second, "SET", 0},
		{"ended", false, 0, -time.Hour, 20 * time.Second, "UNSET", 0},
		{"key lives, view's lock has ended", true, 3 * time.Second, -time.Second, 20 * time.Second, "LOCKED", 3},
		{"key lives, view has no lock", true, 3 * time.Second, never, 0, "LOCKED", 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			pin := view.PIN{Type: "Parental", Set: tc.set, LockCap: int64(tc.limit)}
			if tc.end != never {
				pin.LockStart, pin.LockEnd = 1, now.Add(tc.end).UnixNano()
			}
			r.Views.PutAccount("acme", "abc123", &view.Account{Exists: true, PINs: []view.PIN{pin}})
			r.Views.SetLock("acme", "abc123", "Parental", tc.key)
			want := fmt.Sprintf(`{"totalRecords":2,"resourceSet":[`+
				`{"pinType":"Parental","status":%q,"extendedStatus":"MANDATORY","lockTimeRemaining":%d},`+
				`{"pinType":"Purchase","status":"UNSET","extendedStatus":"OPTIONAL","lockTimeRemaining":0}]}`, tc.status, tc.left)
			if d := r.Get(account, operator, tenant).Diff(200, want); d != "" {
				t.Error(d)
			}
		})
	}
}

// A lock is the type's own, also where one type's name begins with another's.
func TestLocksOfTypesApart(t *testing.T) {
	r := querytest.Start(t, querytest.Config{}, dialect)
	r.Views.PutAccount("acme", "abc123", &view.Account{Exists: true, PINs: []view.PIN{{Type: "Parental", Set: true}, {Type: "Purchase", Set: true}}})
	r.Views.SetLock("acme", "abc123", "Purchase", time.Second)
	want := `{"totalRecords":2,"resourceSet":[` +
		`{"pinType":"Parental","status":"SET","extendedStatus":"MANDATORY","lockTimeRemaining":0},` +
		`{"pinType":"Purchase","status":"LOCKED","extendedStatus":"OPTIONAL","lockTimeRemaining":1}]}`
	if d := r.Get(account, "Authorization: Bearer "+r.Token(querytest.Claims{"scope": "pins:read"}), tenant).Diff(200, want); d != "" {
		t.Error(d)
	}
}

func TestUnavailable(t *testing.T) {
	r := querytest.Start(t, querytest.Config{}, dialect)
	r.Views.Fail(errors.New("connection refused"))
	got := r.Get(account, "Authorization: Bearer "+r.Token(querytest.Claims{"scope": "pins:read"}), tenant)
	if d := got.Diff(503, unavailable); d != "" {
		t.Error(d)
	}
	if after := got.Header.Get("Retry-After"); after != "5" {
		t.Errorf("Retry-After = %q; want 5", after)
	}
}

func TestRateAndMethod(t *testing.T) {
	r := querytest.Start(t, querytest.Config{Tenants: func(_ *querytest.Key, ts []query.Tenant) {
		ts[0].Limits.RequestsPerSecond = 1
	}}, dialect)
	got := r.Do(http.MethodPost, account, tenant)
	if d := got.Diff(405, problem(405, "This resource can only be read.")); d != "" {
		t.Error(d)
	}
	if allow := got.Header.Get("Allow"); allow != "GET, HEAD" {
		t.Errorf("Allow = %q", allow)
	}
	operator := "Authorization: Bearer " + r.Token(querytest.Claims{"scope": "pins:read"})
	if d := r.Do(http.MethodHead, account, operator, tenant).Diff(404, ""); d != "" {
		t.Error(d)
	}
	// Another token of the same subject has the same rate.
	again := "Authorization: Bearer " + r.Token(querytest.Claims{"scope": "pins:read x"})
	got = r.Get(account, again, tenant)
	if d := got.Diff(429, problem(429, "Too many requests with this token.")); d != "" {
		t.Error(d)
	}
	if after := got.Header.Get("Retry-After"); after != "1" {
		t.Errorf("Retry-After = %q; want 1", after)
	}
	other := "Authorization: Bearer " + r.Token(querytest.Claims{"scope": "pins:read", "sub": "somebody else"})
	if d := r.Get(account, other, tenant).Diff(404, notFound); d != "" {
		t.Error(d)
	}
}
