package query

import (
	"context"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
)

// Snapshot is a view as of one instant. It is not to be changed: others may have it, too.
type Snapshot struct {
	Position view.Position  // of the view's partition
	At       time.Time      // by the store's clock
	PIN      *view.Delivery // of a PIN code's key, if anything is known of it
	Account  *Account       // of an account's key, if the account exists
}

// Exists reports whether there is a view.
func (s *Snapshot) Exists() bool { return s.PIN != nil || s.Account != nil }

// changesIn is in how long the view changes though nothing happens, as a lock ends or a
// PIN code's retention does; 0 if it does not.
func (s *Snapshot) changesIn() time.Duration {
	var in time.Duration
	if s.PIN != nil && s.PIN.ExpiresAt != 0 {
		in = time.Duration(s.PIN.ExpiresAt - s.At.UnixNano())
	}
	if s.Account != nil {
		for i := range s.Account.PINs {
			if lock := s.Account.PINs[i].Lock; lock > 0 && (in == 0 || lock < in) {
				in = lock
			}
		}
	}
	return in
}

// PINKey is the key of a PIN code's view.
func PINKey(t *Tenant, pinID string) view.Key {
	return view.Key{Kind: view.KindPIN, Tenant: t.ID, ID: pinID}
}

// AccountKey is the key of an account's view.
func AccountKey(t *Tenant, accountID string) view.Key {
	return view.Key{Kind: view.KindAccount, Tenant: t.ID, ID: accountID}
}

// Read is a view of the tenant's as of now. A view that is not there is no error. The error
// is ErrUnavailable, ctx's, or a fault.
func (s *Service) Read(ctx context.Context, t *Tenant, key view.Key) (*Snapshot, error) {
	r, err := s.read(ctx, readOf(t, key))
	readAt(ctx, r.Position)
	if err != nil {
		return nil, err
	}
	snap := new(Snapshot)
	if err := s.fill(snap, t, key, r); err != nil {
		return nil, err
	}
	return snap, nil
}

// ReadAll is many views of the tenant's, in the order of the keys. It costs one round trip
// to each shard of the store. If any of them cannot be shown, none is: errors are as Read's.
func (s *Service) ReadAll(ctx context.Context, t *Tenant, keys []view.Key) ([]Snapshot, error) {
	reads := make([]view.Read, 0, len(keys))
	places := make(map[view.Key]int, len(keys)) // among reads: a key may stand there often
	for _, key := range keys {
		if _, twice := places[key]; !twice {
			places[key] = len(reads)
			reads = append(reads, readOf(t, key))
		}
	}
	records, err := s.readAll(ctx, reads)
	readAt(ctx, oldest(records))
	if err != nil {
		return nil, err
	}
	read := make([]Snapshot, len(reads))
	for i := range read {
		if err := s.fill(&read[i], t, reads[i].Key, records[i]); err != nil {
			return nil, err
		}
	}
	all := make([]Snapshot, len(keys))
	for i, key := range keys {
		all[i] = read[places[key]]
	}
	return all, nil
}

// oldest is the lowest position of all.
func oldest(records []view.Record) view.Position {
	var p view.Position
	for i := range records {
		if at := records[i].Position; i == 0 || markOf(at).compare(markOf(p)) < 0 {
			p = at
		}
	}
	return p
}

// readOf is what is to be read for a view.
func readOf(t *Tenant, key view.Key) view.Read {
	r := view.Read{Key: key}
	if key.Kind == view.KindAccount {
		r.Locks = make([]string, len(t.PINTypes))
		for i := range t.PINTypes {
			r.Locks[i] = t.PINTypes[i].Name
		}
	}
	return r
}

// fill fills in what a record says.
func (s *Service) fill(snap *Snapshot, t *Tenant, key view.Key, r view.Record) (err error) {
	snap.Position, snap.At = r.Position, time.Unix(0, r.Now)
	if r.Value == nil {
		return nil
	}
	if key.Kind == view.KindAccount {
		snap.Account, err = account(t, r)
	} else {
		snap.PIN, err = delivery(r)
	}
	if err != nil {
		return s.corrupt(err)
	}
	return nil
}

// readWanted reads what waiting requests want, of one partition as a rule, into outcomes.
func (s *Service) readWanted(ctx context.Context, all []wanted, outcomes []*outcome) {
	reads := make([]view.Read, len(all))
	for i, one := range all {
		reads[i] = readOf(one.tenant, one.key)
	}
	records, err := s.readAll(ctx, reads)
	for i, o := range outcomes {
		if err == nil {
			o.err = s.fill(&o.Snapshot, all[i].tenant, all[i].key, records[i])
			continue
		}
		if o.err = err; records != nil {
			o.Position = records[i].Position
		}
	}
}
