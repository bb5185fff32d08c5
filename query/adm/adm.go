package adm

import (
	"net/http"

	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/auth"
)

// Dialect is the dialect of account PINs, a query.Dialect.
type Dialect struct {
	service *query.Service
	auth    *auth.Authenticator
}

// New makes the dialect.
func New(s *query.Service, a *auth.Authenticator) *Dialect {
	return &Dialect{service: s, auth: a}
}

// Name is the dialect's name in metrics and logs.
func (d *Dialect) Name() string { return "adm" }

// Routes are the dialect's routes.
func (d *Dialect) Routes() []query.Route {
	get := func(h query.Handler) map[string]query.Handler {
		return map[string]query.Handler{http.MethodGet: h}
	}
	return []query.Route{
		{Pattern: "/adm/v1/accounts/{accountId}/pins/status", Methods: get(d.accountStatus)},
		{Pattern: "/adm/v1/user/accounts/pins/status", Methods: get(d.userStatus)},
		{Pattern: "/adm/v1/pinTypes", Methods: get(d.pinTypes)},
	}
}

// list is the frame of every answer.
type list[T any] struct {
	TotalRecords int `json:"totalRecords"`
	ResourceSet  []T `json:"resourceSet"`
}

func writeList[T any](w http.ResponseWriter, items []T) {
	query.WriteJSON(w, http.StatusOK, "application/json", list[T]{len(items), items})
}

type pinStatus struct {
	PINType           string `json:"pinType"`
	Status            string `json:"status"`
	ExtendedStatus    string `json:"extendedStatus"`
	LockTimeRemaining int64  `json:"lockTimeRemaining"` // seconds
}

type pinType struct {
	Value       string `json:"value"`
	Description string `json:"description"`
}

// enter checks what all routes have in common: the token, its rate, and that the request
// is for the token's tenant.
func (d *Dialect) enter(r *http.Request) (*auth.Principal, error) {
	token, err := d.auth.LooseToken(r)
	if err != nil {
		return nil, err
	}
	p, err := d.auth.Token(r.Context(), token)
	if err != nil {
		return nil, err
	}
	if err := d.service.Admit(p.Tenant, p.Credential); err != nil {
		return nil, err
	}
	tenants := r.Header.Values("nv-tenant-id")
	switch {
	case len(tenants) != 1 || tenants[0] == "":
		return nil, errTenantHeader
	case tenants[0] != p.Tenant.ID:
		return nil, d.forbid(r, p, auth.ReasonTenant, errOtherTenant)
	}
	return p, nil
}

// forbid is the answer to a request that its credential is not good for.
func (d *Dialect) forbid(r *http.Request, p *auth.Principal, reason auth.Reason, why *refusal) error {
	d.auth.Forbid(r.Context(), p, reason)
	return why
}

// accountStatus is the operator's form. A client's token reads its account only, and none
// if no account is linked.
func (d *Dialect) accountStatus(w http.ResponseWriter, r *http.Request) error {
	p, err := d.enter(r)
	if err != nil {
		return err
	}
	accountID := r.PathValue("accountId")
	switch {
	case !p.Has(auth.ScopePINsRead):
		return d.forbid(r, p, auth.ReasonScope, errScope)
	case p.Client && (p.AccountID == "" || p.AccountID != accountID):
		return d.forbid(r, p, auth.ReasonAccount, errOtherAccount)
	}
	return d.writeStatus(w, r, p.Tenant, accountID)
}

// userStatus is the client's form.
func (d *Dialect) userStatus(w http.ResponseWriter, r *http.Request) error {
	p, err := d.enter(r)
	if err != nil {
		return err
	}
	if !p.Client || p.AccountID == "" {
		return d.forbid(r, p, auth.ReasonAccount, errNoAccount)
	}
	return d.writeStatus(w, r, p.Tenant, p.AccountID)
}

func (d *Dialect) writeStatus(w http.ResponseWriter, r *http.Request, t *query.Tenant, accountID string) error {
	if !query.ValidID(accountID) {
		return errAccountID
	}
	a, err := d.service.Account(r.Context(), t, accountID)
	if err != nil {
		return err
	}
	items := make([]pinStatus, len(a.PINs))
	for i := range a.PINs {
		pin := &a.PINs[i]
		items[i] = pinStatus{
			PINType:           pin.Type.Name,
			Status:            pin.State.String(),
			ExtendedStatus:    extendedStatus(pin.Type),
			LockTimeRemaining: pin.LockSeconds(),
		}
	}
	writeList(w, items)
	return nil
}

func extendedStatus(t query.PINType) string {
	if t.Mandatory {
		return "MANDATORY"
	}
	return "OPTIONAL"
}

func (d *Dialect) pinTypes(w http.ResponseWriter, r *http.Request) error {
	p, err := d.enter(r)
	if err != nil {
		return err
	}
	items := make([]pinType, len(p.Tenant.PINTypes))
	for i, t := range p.Tenant.PINTypes {
		items[i] = pinType{t.Name, t.Description}
	}
	writeList(w, items)
	return nil
}
