package acceptance

import (
	"net/http"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// Two tenants have a PIN code and an account of the same ids. Each sees its own, and of the
// other's nothing, not even that it is there.
func TestTenantsAreApart(t *testing.T) {
	t.Parallel()
	c := newConfig(t, tenant{ID: "acme"}, tenant{ID: "globex"}, tenant{ID: "initech"})
	onEach(t, c, func(t *testing.T, a *api, b *broker) {
		b.publish(
			smsStatus("acme", "2B67", "m1", "MESSAGE_DELIVERED"), pinEvent("set", "acme", "alice", "Parental"),
			smsStatus("globex", "2B67", "m1", "MESSAGE_REJECTED"), accountEvent("provisioned", "globex", "alice"),
		)
		for tenant, want := range map[string]struct {
			delivery int
			body     string
			account  int
			user     int
		}{
			"acme":    {http.StatusOK, "[" + entryText("MESSAGE_DELIVERED", "Message sent and delivered", true) + "]", http.StatusOK, http.StatusOK},
			"globex":  {http.StatusOK, "[" + entryText("MESSAGE_REJECTED", "Message rejected", true) + "]", http.StatusOK, http.StatusNotFound},
			"initech": {http.StatusNotFound, notFoundText, http.StatusNotFound, http.StatusNotFound},
		} {
			becomes(t, tenant+", dialect 1", func() (answer, error) { return a.delivery(t.Context(), tenant, "2B67") }, want.delivery, want.body)
			becomes(t, tenant+", dialect 2", func() (answer, error) { return a.pins(t.Context(), tenant, "alice") }, want.account, "")
			becomes(t, tenant+", dialect 3", func() (answer, error) { return a.userPIN(t.Context(), tenant, "alice", 0) }, want.user, "")
		}
		const path = "/adm/v1/accounts/alice/pins/status"
		for name, test := range map[string]struct {
			token, tenant string
			code          int
		}{
			"token of another tenant":         {a.operator("globex"), "acme", http.StatusForbidden},
			"token of another account":        {a.token("acme", jwt.MapClaims{"sub": "bob", "account_id": "bob", "scope": "pins:read"}), "acme", http.StatusForbidden},
			"token without the scope":         {a.token("acme", jwt.MapClaims{"sub": "operator"}), "acme", http.StatusForbidden},
			"token of a tenant that is none":  {a.token("nobody", jwt.MapClaims{"sub": "operator", "scope": "pins:read"}), "nobody", http.StatusUnauthorized},
			"token signed with another's key": {newConfig(t).operator("acme"), "acme", http.StatusUnauthorized},
			"no token":                        {"", "acme", http.StatusUnauthorized},
		} {
			got, err := a.pinsAt(t.Context(), test.tenant, path, test.token)
			if err == nil {
				err = got.is(test.code, "")
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
