package query

import (
	"sync"
	"sync/atomic"
)

// reloads are the times at which credentials had to be checked anew: of all tenants, as these
// have changed, or of some.
type reloads struct {
	mu      sync.Mutex // held by whoever counts one
	count   atomic.Uint64
	all     atomic.Uint64 // the last that was of all
	tenants sync.Map      // the last that was of a tenant, by its id
}

// now is a number above 0 that every reload from now on is above.
func (r *reloads) now() uint64 { return r.count.Load() + 1 }

// of is the last reload that concerns a tenant.
func (r *reloads) of(tenant string) uint64 {
	last := r.all.Load()
	one, _ := r.tenants.Load(tenant)
	of, _ := one.(uint64)
	return max(last, of)
}

// Reload has all that follow a view end within some seconds, to come again with a credential
// that is checked anew: the tenants have changed.
func (s *Service) Reload() {
	s.reloads.mu.Lock()
	s.reloads.all.Store(s.reloads.count.Add(1) + 1)
	s.reloads.mu.Unlock()
	s.waiters.stir()
}

// ReloadTenants is Reload for some tenants alone: an issuer of theirs has taken a key away.
func (s *Service) ReloadTenants(ids []string) {
	s.reloads.mu.Lock()
	n := s.reloads.count.Add(1) + 1
	for _, id := range ids {
		s.reloads.tenants.Store(id, n)
	}
	s.reloads.mu.Unlock()
	s.waiters.stir()
}
