package v1

import (
	"net/http"

	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/auth"
	"github.com/pinstatus/pinstatus/query/wire"
)

// maxBatchBody is the largest body of a request for many views: 500 ids of 256 bytes, each
// of them escaped, stay below it.
const maxBatchBody = 1 << 20

// Dialect is the dialect of /v1, a query.Dialect.
type Dialect struct {
	service *query.Service
	auth    *auth.Authenticator
}

// New makes the dialect.
func New(s *query.Service, a *auth.Authenticator) *Dialect {
	return &Dialect{service: s, auth: a}
}

// Name is the dialect's name in metrics and logs.
func (d *Dialect) Name() string { return "v1" }

// Routes are the dialect's routes.
func (d *Dialect) Routes() []query.Route {
	method := func(name string, h query.Handler) map[string]query.Handler {
		return map[string]query.Handler{name: h}
	}
	get := func(pattern string, find finder) query.Route {
		return query.Route{Pattern: pattern, Methods: method(http.MethodGet, d.with(find, d.get)), MaxWait: wire.MaxWait}
	}
	watch := func(pattern string, find finder) query.Route {
		return query.Route{Pattern: pattern, Methods: method(http.MethodGet, d.with(find, d.watch)), Stream: true}
	}
	batch := func(pattern string, h query.Handler) query.Route {
		return query.Route{Pattern: pattern, Methods: method(http.MethodPost, h), MaxBody: maxBatchBody}
	}
	return []query.Route{
		get("/v1/pins/{pinId}", d.pin),
		get("/v1/accounts/{accountId}", d.account),
		watch("/v1/pins/{pinId}/watch", d.pin),
		watch("/v1/accounts/{accountId}/watch", d.account),
		batch("/v1/pins:batchGet", d.batchPINs),
		batch("/v1/accounts:batchGet", d.batchAccounts),
		{Pattern: "/v1/pinTypes", Methods: method(http.MethodGet, d.pinTypes)},
	}
}
