package auth_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/auth"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
)

// Claims are read by their exact names, and what could be read in two ways is refused.
func TestClaimsAreReadExactly(t *testing.T) {
	key := querytest.NewKey(t, "k1", "ES256")
	a := newAuth(t, auth.Options{}, tenant("acme", query.Issuer{Issuer: issuer, Audience: "acme", JWKS: querytest.KeySet(t, key)}))
	exp := time.Now().Add(time.Hour).Unix()
	good := fmt.Sprintf(`"iss":%q,"aud":"acme","exp":%d`, issuer, exp)
	with := func(more string) string { return "{" + good + "," + more + "}" }
	for _, tc := range []struct {
		name   string
		claims string
		want   auth.Reason
	}{
		{"good", "{" + good + "}", ""},
		{"all claims", with(fmt.Sprintf(`"nbf":%d,"iat":%[1]d,"sub":"s","scope":"a","account_id":"abc"`, time.Now().Unix())), ""},
		{"other claims, twice and in any case", with(`"x":1,"X":2,"x":{"iss":1,"ISS":2}`), ""},
		{"audiences", fmt.Sprintf(`{"iss":%q,"aud":["x","acme"],"exp":%d}`, issuer, exp), ""},
		{"a fraction of a second", fmt.Sprintf(`{"iss":%q,"aud":"acme","exp":%d.5}`, issuer, exp), ""},
		{"an exponent", fmt.Sprintf(`{"iss":%q,"aud":"acme","exp":1e11}`, issuer), ""},
		{"null is not there", with(`"sub":null,"scope":null,"nbf":null,"iat":null`), ""},

		{"iss twice", with(`"iss":"https://id.example/"`), auth.ReasonMalformed},
		{"aud twice", with(`"aud":"acme"`), auth.ReasonMalformed},
		{"exp twice", with(`"exp":99999999999`), auth.ReasonMalformed},
		{"nbf twice", with(`"nbf":99999999999,"nbf":0`), auth.ReasonMalformed},
		{"iat twice", with(`"iat":0,"iat":0`), auth.ReasonMalformed},
		{"sub twice", with(`"sub":"a","sub":"b"`), auth.ReasonMalformed},
		{"scope twice", with(`"scope":"","scope":"pins:read"`), auth.ReasonMalformed},
		{"account twice", with(`"account_id":"a","account_id":"b"`), auth.ReasonMalformed},
		{"account twice, the last null", with(`"account_id":"a","account_id":null`), auth.ReasonMalformed},
		{"twice, one escaped", with(`"account_id":"a","account\u005fid":"b"`), auth.ReasonMalformed},

		{"Iss", with(`"Iss":"x"`), auth.ReasonMalformed},
		{"AUD", with(`"AUD":"other"`), auth.ReasonMalformed},
		{"Exp", with(`"Exp":99999999999`), auth.ReasonMalformed},
		{"NBF alone", with(`"NBF":0`), auth.ReasonMalformed},
		{"Iat alone", with(`"Iat":0`), auth.ReasonMalformed},
		{"Sub alone", with(`"Sub":"s"`), auth.ReasonMalformed},
		{"Scope alone", with(`"Scope":"pins:read"`), auth.ReasonMalformed},
		{"long s", with(`"ſcope":"pins:read"`), auth.ReasonMalformed},
		{"ACCOUNT_ID alone", with(`"ACCOUNT_ID":"abc"`), auth.ReasonMalformed},

		{"exp is a string", fmt.Sprintf(`{"iss":%q,"aud":"acme","exp":"%d"}`, issuer, exp), auth.ReasonMalformed},
		{"nbf is a string", with(`"nbf":"0"`), auth.ReasonMalformed},
		{"iat is a string", with(`"iat":"0"`), auth.ReasonMalformed},
		{"nbf is true", with(`"nbf":true`), auth.ReasonMalformed},
		{"nbf is an object", with(`"nbf":{}`), auth.ReasonMalformed},
		{"exp is huge", fmt.Sprintf(`{"iss":%q,"aud":"acme","exp":1e300}`, issuer), auth.ReasonMalformed},
		{"exp is more than huge", fmt.Sprintf(`{"iss":%q,"aud":"acme","exp":1e999}`, issuer), auth.ReasonMalformed},
		{"exp is null", fmt.Sprintf(`{"iss":%q,"aud":"acme","exp":null}`, issuer), auth.ReasonClaims},
		{"iss is a list", fmt.Sprintf(`{"iss":[%q],"aud":"acme","exp":%d}`, issuer, exp), auth.ReasonMalformed},
		{"sub is a number", with(`"sub":1`), auth.ReasonMalformed},
		{"aud holds a number", fmt.Sprintf(`{"iss":%q,"aud":["acme",1],"exp":%d}`, issuer, exp), auth.ReasonMalformed},
		{"string", `"claims"`, auth.ReasonMalformed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := reason(t, a, key.SignRaw(t, tc.claims)); got != tc.want {
				t.Errorf("refused for %q; want %q", got, tc.want)
			}
		})
	}
}

// A token with an account_id of whatever kind is a client's; without, it is not.
func TestAnyAccountMakesAClient(t *testing.T) {
	key := querytest.NewKey(t, "k1", "ES256")
	a := newAuth(t, auth.Options{}, tenant("acme", query.Issuer{Issuer: issuer, Audience: "acme", JWKS: querytest.KeySet(t, key)}))
	type who struct {
		Client    bool
		AccountID string
	}
	for account, want := range map[string]who{
		"":                        {},
		`,"account_id":"abc"`:     {true, "abc"},
		`,"account_id":""`:        {true, ""},
		`,"account_id":null`:      {true, ""},
		`,"account_id": null `:    {true, ""},
		`,"account_id":1`:         {true, ""},
		`,"account_id":false`:     {true, ""},
		`,"account_id":["abc"]`:   {true, ""},
		`,"account_id":{"a":"b"}`: {true, ""},
	} {
		claims := fmt.Sprintf(`{"iss":%q,"aud":"acme","exp":%d%s}`, issuer, time.Now().Add(time.Hour).Unix(), account)
		p, err := a.Token(t.Context(), key.SignRaw(t, claims))
		if err != nil {
			t.Errorf("%s: %v", account, err)
			continue
		}
		if d := cmp.Diff(want, who{p.Client, p.AccountID}); d != "" {
			t.Errorf("%s: %s", account, d)
		}
	}
}
