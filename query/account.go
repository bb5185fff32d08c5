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
// not exist; else ErrUnavailable, ctx's, or a fault.
func (s *Service) Account(ctx context.Context, t *Tenant, accountID string) (*Account, error) {
	types := make([]string, len(t.PINTypes))
	for i := range t.PINTypes {
		types[i] = t.PINTypes[i].Name
	}
	r, err := s.read(ctx, view.Read{Key: accountKey(t, accountID), Locks: types})
	readAt(ctx, r.Position)
	if err != nil {
		return nil, err
	}
	v, err := s.account(r)
	if err != nil {
		return nil, err
	}
	if v == nil {
		return nil, ErrNotFound
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

func accountKey(t *Tenant, accountID string) view.Key {
	return view.Key{Kind: view.KindAccount, Tenant: t.ID, ID: accountID}
}

// accountView is an account without its locks, and the position that it was read at.
type accountView struct {
	*view.Account // nil if it does not exist; not to be changed
	position      view.Position
}

// readAccount reads an account without its locks. The position holds with an error, too, as
// far as it is known.
func (s *Service) readAccount(ctx context.Context, k view.Key) (accountView, error) {
	r, err := s.read(ctx, view.Read{Key: k})
	v := accountView{position: r.Position}
	if err == nil {
		v.Account, err = s.account(r)
	}
	return v, err
}

// account decodes a record; nil if the account does not exist.
func (s *Service) account(r view.Record) (*view.Account, error) {
	if r.Value == nil {
		return nil, nil //nolint:nilnil // an account that does not exist is no error here
	}
	v, _, err := view.DecodeAccount(r.Value)
	if err != nil {
		return nil, s.corrupt(err)
	}
	if !v.Exists {
		return nil, nil //nolint:nilnil // as above
	}
	return v, nil
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
