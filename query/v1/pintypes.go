package v1

import (
	"net/http"

	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/auth"
	"github.com/pinstatus/pinstatus/query/wire"
)

// pinTypes answers the tenant's PIN types from the configuration.
func (d *Dialect) pinTypes(w http.ResponseWriter, r *http.Request) error {
	p, err := d.enter(r, auth.ScopePINsRead)
	if err != nil {
		return err
	}
	t := p.Tenant
	answer := wire.PINTypes{PINTypes: make([]wire.PINType, len(t.PINTypes)), UserPINType: t.UserPINType, PolicyVersion: t.PolicyVersion}
	for i, pt := range t.PINTypes {
		locks := make([]float64, len(pt.LockDurations))
		for j, d := range pt.LockDurations {
			locks[j] = d.Seconds()
		}
		answer.PINTypes[i] = wire.PINType{
			Name: pt.Name, Description: pt.Description, Mandatory: pt.Mandatory, MaxAttempts: pt.MaxAttempts, LockDurationsSeconds: locks,
		}
	}
	query.WriteJSON(w, http.StatusOK, "application/json", answer)
	return nil
}
