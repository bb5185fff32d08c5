package config

import (
	"encoding/json"
	"slices"

	"github.com/pinstatus/pinstatus/query"
)

// Tenants are the tenants as the query service knows them.
func (c *Config) Tenants() []query.Tenant {
	all := make([]query.Tenant, len(c.tenants))
	for i := range c.tenants {
		all[i] = c.tenants[i].query()
	}
	return all
}

func (t *Tenant) query() query.Tenant {
	q := query.Tenant{
		ID:            t.ID,
		PolicyVersion: t.PolicyVersion,
		UserPINType:   t.UserPINType,
		CORSOrigins:   slices.Clone(t.CORSOrigins),
		Limits: query.Limits{
			RequestsPerSecond: t.Limits.RequestsPerSecond,
			Waiters:           t.Limits.Waiters,
			WaitersPerAccount: t.Limits.WaitersPerAccount,
		},
	}
	for _, pt := range t.PINTypes {
		q.PINTypes = append(q.PINTypes, query.PINType{
			Name:          pt.Name,
			Description:   pt.Description,
			Mandatory:     pt.Mandatory,
			MaxAttempts:   pt.MaxAttempts,
			LockDurations: pt.LockDurations,
		})
	}
	for _, k := range t.APIKeys {
		q.APIKeys = append(q.APIKeys, query.APIKey{
			Name:      k.Name,
			SHA256:    k.SHA256,
			Scopes:    slices.Clone(k.Scopes),
			NotBefore: k.NotBefore,
			Expires:   k.Expires,
		})
	}
	for _, is := range t.Issuers {
		q.Issuers = append(q.Issuers, query.Issuer{
			Issuer:   is.Issuer,
			Audience: is.Audience,
			JWKS:     json.RawMessage(is.JWKS),
			JWKSURL:  is.JWKSURL,
		})
	}
	return q
}
