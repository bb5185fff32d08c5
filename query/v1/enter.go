package v1

import (
	"net/http"

	"github.com/pinstatus/pinstatus/projector/view"
	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/auth"
)

// enter checks what all routes have in common: the credential, its rate, and its scope.
func (d *Dialect) enter(r *http.Request, scope string) (*auth.Principal, error) {
	p, err := d.auth.Credential(r)
	if err != nil {
		return nil, err
	}
	if err := d.service.Admit(p.Tenant, p.Credential); err != nil {
		return nil, err
	}
	if !p.Has(scope) {
		return nil, d.forbid(r, p, auth.ReasonScope, &refusal{code: http.StatusForbidden, detail: lacksScope(scope), scope: scope})
	}
	return p, nil
}

// forbid has a refusal of a good credential logged.
func (d *Dialect) forbid(r *http.Request, p *auth.Principal, reason auth.Reason, why *refusal) error {
	d.auth.Forbid(r.Context(), p, reason)
	return why
}

// enterPINs lets those in who may read deliveries.
func (d *Dialect) enterPINs(r *http.Request) (*auth.Principal, error) {
	p, err := d.enter(r, auth.ScopeDeliveriesRead)
	switch {
	case err != nil:
		return nil, err
	case p.Client:
		return nil, d.forbid(r, p, auth.ReasonAccount, errClient)
	}
	return p, nil
}

// mayRead reports whether a credential that has the scope may read the account.
func mayRead(p *auth.Principal, accountID string) bool {
	return !p.Client || p.AccountID != "" && p.AccountID == accountID
}

// target is the view that a request is about, and who asks for it.
type target struct {
	*auth.Principal
	id  string
	key view.Key
}

// finder checks who asks, and says for what; not yet whether that can be an id.
type finder func(*http.Request) (*target, error)

// with is the handler that finds the target, reads the headers, and checks the id.
func (d *Dialect) with(find finder, h func(http.ResponseWriter, *http.Request, *target, *request) error) query.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		t, q, err := parse(r, find)
		if err != nil {
			return err
		}
		return h(w, r, t, q)
	}
}

func parse(r *http.Request, find finder) (*target, *request, error) {
	t, err := find(r)
	if err != nil {
		return nil, nil, err
	}
	q, err := parseRequest(r.Header)
	if err != nil {
		return nil, nil, err
	}
	if !query.ValidID(t.id) {
		return nil, nil, errID
	}
	return t, q, nil
}

func (d *Dialect) pin(r *http.Request) (*target, error) {
	p, err := d.enterPINs(r)
	if err != nil {
		return nil, err
	}
	id := r.PathValue("pinId")
	return &target{Principal: p, id: id, key: query.PINKey(p.Tenant, id)}, nil
}

func (d *Dialect) account(r *http.Request) (*target, error) {
	p, err := d.enter(r, auth.ScopePINsRead)
	if err != nil {
		return nil, err
	}
	id := r.PathValue("accountId")
	if !mayRead(p, id) {
		return nil, d.forbid(r, p, auth.ReasonAccount, errOtherAccount)
	}
	return &target{Principal: p, id: id, key: query.AccountKey(p.Tenant, id)}, nil
}
