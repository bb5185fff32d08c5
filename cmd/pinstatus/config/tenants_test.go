package config

import (
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pinstatus/pinstatus/query"
)

func TestTenants(t *testing.T) {
	c, err := Load("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	jwks, err := os.ReadFile("testdata/acme.jwks.json")
	if err != nil {
		t.Fatal(err)
	}
	want := []query.Tenant{
		{
			ID: "acme", PolicyVersion: 3,
			PINTypes: []query.PINType{
				{Name: "Parental", Description: "Parental control PIN", Mandatory: true, MaxAttempts: 3, LockDurations: []time.Duration{20 * time.Second}},
				{Name: "Purchase", Description: "Purchase", MaxAttempts: 5, LockDurations: []time.Duration{time.Minute, 5 * time.Minute, time.Hour}},
			},
			UserPINType: "Purchase",
			APIKeys: []query.APIKey{
				{Name: "support-desk", SHA256: hash(t, "test"), Scopes: []string{"deliveries:read"}},
				{
					Name: "back-office", SHA256: hash(t, "test2"), Scopes: []string{"deliveries:read", "pins:read"},
					Expires: time.Date(2027, 3, 31, 10, 0, 0, 0, time.UTC),
				},
				{
					Name: "back-office", SHA256: hash(t, "test3"),
					NotBefore: time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC), Expires: time.Date(2028, 3, 31, 0, 0, 0, 500_000_000, time.UTC),
				},
			},
			Issuers: []query.Issuer{
				{Issuer: "https://id.acme.example/", Audience: "pinstatus", JWKS: jwks},
				{Issuer: "https://partner.example", Audience: "acme", JWKSURL: "https://partner.example/keys?v=1"},
				{Issuer: "http://localhost:8081/realms/test", Audience: "acme"},
			},
			CORSOrigins: []string{"https://app.acme.example", "http://localhost:3000"},
			Limits:      query.Limits{RequestsPerSecond: 50, Waiters: 100, WaitersPerAccount: 2},
		},
		{
			ID: "least", PolicyVersion: 1,
			PINTypes:    []query.PINType{{Name: "PIN", Description: "PIN", MaxAttempts: 3, LockDurations: []time.Duration{time.Minute}}},
			UserPINType: "PIN",
			Limits:      query.Limits{RequestsPerSecond: 500, Waiters: 10000, WaitersPerAccount: 20},
		},
	}
	if diff := cmp.Diff(want, c.Tenants()); diff != "" {
		t.Error("tenants (-want +got):\n" + diff)
	}
	if _, err := query.NewDirectory(c.Tenants()); err != nil {
		t.Errorf("the query service refuses what was taken: %v", err)
	}
}
