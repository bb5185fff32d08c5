package twofa

import (
	"net/http"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/view"
	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/auth"
)

// Dialect is the dialect of delivery status, a query.Dialect.
type Dialect struct {
	service *query.Service
	auth    *auth.Authenticator
	cors    *crossOrigin
}

// New makes the dialect.
func New(s *query.Service, a *auth.Authenticator) *Dialect {
	return &Dialect{service: s, auth: a, cors: newCrossOrigin(a)}
}

// Name is the dialect's name in metrics and logs.
func (d *Dialect) Name() string { return "2fa" }

// Routes are the dialect's routes.
func (d *Dialect) Routes() []query.Route {
	const path = "/2fa/1/pin/{pinId}/status"
	var routes []query.Route
	for _, r := range []struct {
		suffix string
		wanted func(event.Channel) bool
	}{
		{"", func(event.Channel) bool { return true }},
		{"/sms", func(c event.Channel) bool { return c == event.SMS }},
		{"/voice", func(c event.Channel) bool { return c == event.Voice }},
	} {
		routes = append(routes, query.Route{
			Pattern: path + r.suffix,
			Methods: map[string]query.Handler{
				http.MethodGet: func(w http.ResponseWriter, req *http.Request) error {
					return d.status(w, req, r.wanted)
				},
				http.MethodOptions: d.cors.preflight,
			},
		})
	}
	return routes
}

// entry is one message or call in an answer.
type entry struct {
	Status      string `json:"status"`
	Description string `json:"description"`
	FinalStatus bool   `json:"finalStatus"`
}

func (d *Dialect) status(w http.ResponseWriter, r *http.Request, wanted func(event.Channel) bool) error {
	p, err := d.auth.APIKey(r, auth.ScopeDeliveriesRead)
	if err != nil {
		return err
	}
	if err := d.service.Admit(p.Tenant, p.Credential); err != nil {
		return err
	}
	pinID := r.PathValue("pinId")
	if !query.ValidID(pinID) {
		return errPINID
	}
	v, err := d.service.Delivery(r.Context(), p.Tenant, pinID)
	if err != nil {
		return err
	}
	d.cors.answer(w, r)
	query.WriteJSON(w, http.StatusOK, contentType, entries(v, wanted))
	return nil
}

// entries are the view's entries of the channels wanted, in the view's order (rule D2).
func entries(v *view.Delivery, wanted func(event.Channel) bool) []entry {
	list := make([]entry, 0, len(v.Entries)) // never nil: no entries are answered as []
	for i := range v.Entries {
		if e := &v.Entries[i]; wanted(e.Channel) {
			list = append(list, entry{e.Status.String(), e.Status.Description(), e.Status.Final()})
		}
	}
	return list
}
