package main

import (
	"errors"
	"testing"

	"github.com/pinstatus/pinstatus/cmd/pinstatus/config"
)

// Tenants that cannot be put to work leave the policy as it is, too.
func TestReloadIsWholeOrNothing(t *testing.T) {
	configured := func(version uint64) *config.Config {
		tenant := config.NewTenant("acme")
		tenant.PolicyVersion = version
		tenant.PINTypes = []config.PINType{config.NewPINType("Parental")}
		c, err := config.New(tenant)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	old, next := configured(1), configured(2)
	broken := errors.New("broken")
	s := &service{setTenants: func(*config.Config) error { return broken }}
	s.config.Store(old)
	s.policy.Store(old.Policy())
	if err := s.reload(next); !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
	if s.config.Load() != old || s.policy.Load().Version != 1 {
		t.Errorf("policy version %d after a refusal, want the old one's 1", s.policy.Load().Version)
	}
	s.setTenants = func(*config.Config) error { return nil }
	if err := s.reload(next); err != nil {
		t.Error(err)
	}
	if s.config.Load() != next || s.policy.Load().Version != 2 {
		t.Errorf("policy version %d after a reload, want the new one's 2", s.policy.Load().Version)
	}
}
