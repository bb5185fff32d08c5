package query

import (
	"context"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
)

// State is the state of a PIN now (rule P7).
type State uint8

// The states.
const (
	Unset State = iota
	Set
	Locked
)

// String is the state's name in answers.
func (s State) String() string {
	switch s {
	case Unset:
		return "UNSET"
	case Set:
		return "SET"
	case Locked:
		return "LOCKED"
	}
	return ""
}

// Account is the state of all PINs of an account, of one instant.
type Account struct {
	Sequence uint64 // stream sequence of the event that last changed the view
	PINs     []PIN  // one for each type that the tenant defines, in its order
}

// PIN is the state of one PIN of an account.
type PIN struct {
	Type  PINType
	View  view.PIN // zero if no event has named the type
	State State
	Lock  time.Duration // that the lock still runs, above zero while Locked; zero otherwise
}

// LockSeconds is how long the lock still runs in whole seconds, rounded up: at least 1
// while Locked, 0 otherwise.
func (p *PIN) LockSeconds() int64 { return wholeSeconds(p.Lock) }

// Account is the state of an account's PINs. The error is ErrNotFound if the account does
// not exist; else it is as Read's.
func (s *Service) Account(ctx context.Context, t *Tenant, accountID string) (*Account, error) {
	snap, err := s.Read(ctx, t, AccountKey(t, accountID))
	switch {
	case err != nil:
		return nil, err
	case snap.Account == nil:
		return nil, ErrNotFound
	}
	return snap.Account, nil
}

// PIN is the state of the PIN of a type; nil if the tenant does not define it.
func (a *Account) PIN(pinType string) *PIN {
	for i := range a.PINs {
		if a.PINs[i].Type.Name == pinType {
			return &a.PINs[i]
		}
	}
	return nil
}

// account decodes and judges a record; nil if the account does not exist.
func account(t *Tenant, r view.Record) (*Account, error) {
	v, _, err := view.DecodeAccount(r.Value)
	if err != nil || !v.Exists {
		return nil, err
	}
	a := &Account{Sequence: v.Sequence, PINs: make([]PIN, len(t.PINTypes))}
	for i := range a.PINs {
		var key time.Duration
		if i < len(r.Locks) {
			key = time.Duration(r.Locks[i]) * time.Millisecond
		}
		a.PINs[i] = stateOf(t.PINTypes[i], findPIN(v, t.PINTypes[i].Name), key, r.Now)
	}
	return a, nil
}

func findPIN(a *view.Account, pinType string) view.PIN {
	for i := range a.PINs {
		if a.PINs[i].Type == pinType {
			return a.PINs[i]
		}
	}
	return view.PIN{}
}

// stateOf judges a PIN at now, the store's clock; key is how long its lock key still lives.
//
// Locks fail closed: either of lock key and view suffices. The key counts first, since its
// time to live runs down in the store for all replicas alike. A missing key (evicted, or
// deleted by hand) while the view's lock still runs is a lock all the same. So is a living
// key with a view whose lock has ended: one commit writes both, so they part only by the
// fraction of a millisecond that the key's expiry is rounded by, or where an operator set
// the key by hand to lock a PIN; in both cases the key is what every replica sees.
func stateOf(t PINType, v view.PIN, key time.Duration, now int64) PIN {
	p := PIN{Type: t, View: v}
	lock := key
	if lock <= 0 {
		lock = time.Duration(v.LockEnd - now)
	}
	switch {
	case lock > 0:
		p.State = Locked
		p.Lock = lock
		if v.LockCap > 0 {
			// A lock that starts within the clock skew ahead ends later than its
			// duration from now.
			p.Lock = min(lock, time.Duration(v.LockCap))
		}
	case v.Set:
		p.State = Set
	}
	return p
}
