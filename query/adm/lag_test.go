package adm

import (
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
)

func TestLag(t *testing.T) {
	r := querytest.Start(t, querytest.WithStream(), dialect)
	r.Views.PutAccount("acme", "abc123", &view.Account{Exists: true})
	r.Views.PutAccount("acme", "deleted", &view.Account{})
	operator := "Authorization: Bearer " + r.Token(querytest.Claims{"scope": "pins:read"})
	client := "Authorization: Bearer " + r.Token(querytest.Claims{"account_id": "abc123"})
	querytest.CheckLag(t, "operator", r.Get(account, operator, tenant), 200, true, 0, 0)
	querytest.CheckLag(t, "client", r.Get(user, client, tenant), 200, true, 0, 0)
	querytest.CheckLag(t, "deleted", r.Get("/adm/v1/accounts/deleted/pins/status", operator, tenant), 404, true, 0, 0)
	querytest.CheckLag(t, "from the configuration", r.Get(types, operator, tenant), 200, false, 0, 0)
	querytest.CheckLag(t, "no such path", r.Get(account+"x", operator, tenant), 404, false, 0, 0)
	querytest.CheckLag(t, "no scope", r.Get(account, client, tenant), 403, false, 0, 0)

	r.Behind(time.Hour)
	querytest.CheckLag(t, "behind", r.Get(account, operator, tenant), 503, true, time.Hour, time.Hour+time.Minute)
}
