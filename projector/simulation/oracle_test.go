package simulation

import (
	"bytes"
	"fmt"
	"sort"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/fold/foldtest"
	"github.com/pinstatus/pinstatus/projector/view"
)

// oracle knows what is true: the fold of all events, one by one, and what every view was at
// every sequence.
type oracle struct {
	versions map[view.Key][]version
	letters  map[uint64]event.Reason // the messages that no view can take
	idle     map[uint64]bool         // the messages that repeat others
}

// version is a view from one sequence on.
type version struct {
	sequence  uint64
	stored    []byte
	expiresAt int64            // Unix nanoseconds; 0 never
	locks     map[string]int64 // ends of locks by PIN type, Unix milliseconds
}

func newOracle(st *stream) *oracle {
	o := &oracle{versions: map[view.Key][]version{}, letters: map[uint64]event.Reason{}, idle: map[uint64]bool{}}
	codes, accounts := map[view.Key]*fold.Code{}, map[view.Key]*fold.Account{}
	for i := range st.messages {
		m := &st.messages[i]
		if reason := refused(m.Err, &m.Event, st.tenants); reason != "" {
			o.letters[m.Sequence] = reason
			continue
		}
		k := view.Key{Kind: view.KindAccount, Tenant: m.Event.Tenant, ID: m.Event.Key}
		in := fold.Input{Event: &m.Event, Sequence: m.Sequence, Received: m.Received}
		var outcome fold.Outcome
		v := version{sequence: m.Sequence}
		if m.Event.Type.Family().OnCode() {
			k.Kind = view.KindPIN
			if codes[k] == nil {
				codes[k] = &fold.Code{}
			}
			outcome = codes[k].Fold(in, st.tenants[k.Tenant])
			v.stored, v.expiresAt = codes[k].Append(nil), codes[k].ExpiresAt()
		} else {
			if accounts[k] == nil {
				accounts[k] = &fold.Account{}
			}
			outcome = accounts[k].Fold(in, st.tenants[k.Tenant])
			v.stored, v.expiresAt = accounts[k].Append(nil), accounts[k].ExpiresAt()
			v.locks = lockEnds(accounts[k])
		}
		if reason := outcome.Rejected(); reason != "" {
			o.letters[m.Sequence] = reason
		}
		switch outcome {
		case fold.Duplicate, fold.Conflict, fold.DeadLate, fold.DeadTooManyEntries:
			o.idle[m.Sequence] = outcome.Rejected() == ""
			// The stored view stays as it is.
		default:
			o.versions[k] = append(o.versions[k], v)
		}
	}
	return o
}

// refused is why a message cannot be taken, whatever came before it.
func refused(bad *event.Error, e *event.Event, tenants map[string]*fold.Tenant) event.Reason {
	if bad != nil {
		return bad.Reason
	}
	t := tenants[e.Tenant]
	if t == nil {
		return event.ReasonUnknownTenant
	}
	names := e.SetPINs
	if e.PINType != "" {
		names = append(names[:len(names):len(names)], e.PINType)
	}
	for _, name := range names {
		if t.PINTypes[name] == nil {
			return event.ReasonUnknownPINType
		}
	}
	return ""
}

func lockEnds(a *fold.Account) map[string]int64 {
	shown := a.View()
	if !shown.Exists {
		return nil
	}
	ends := map[string]int64{}
	for _, p := range shown.PINs {
		if p.LockEnd != 0 {
			ends[p.Type] = (p.LockEnd + 999_999) / 1_000_000
		}
	}
	return ends
}

// at is the view of a key in a partition whose position is the sequence; nil if there is
// none yet.
func (o *oracle) at(k view.Key, sequence uint64) *version {
	all := o.versions[k]
	i := sort.Search(len(all), func(i int) bool { return all[i].sequence > sequence })
	if i == 0 {
		return nil
	}
	return &all[i-1]
}

// changed reports whether the view of a key changed behind one sequence up to another.
func (o *oracle) changed(k view.Key, from, to uint64) bool {
	v := o.at(k, to)
	return v != nil && v.sequence > from
}

// compare says in what a record differs from the truth at its position; empty if it does
// not. latest is the latest that the store's clock has ever been, Unix nanoseconds.
func (o *oracle) compare(k view.Key, r *view.Record, latest int64) string {
	want := o.at(k, r.Position.Sequence)
	if want == nil {
		if r.Value != nil {
			return fmt.Sprintf("%v at %d: a view of %d bytes, want none", k, r.Position.Sequence, len(r.Value))
		}
		want = &version{}
	}
	if expired := want.expiresAt != 0 && want.expiresAt <= latest; !bytes.Equal(r.Value, want.stored) && (r.Value != nil || !expired) {
		return fmt.Sprintf("%v at %d: a view of %d bytes (%s), want the %d bytes of sequence %d", k, r.Position.Sequence,
			len(r.Value), o.find(k, r.Value), len(want.stored), want.sequence)
	}
	if k.Kind != view.KindAccount {
		return ""
	}
	for i, pinType := range foldtest.PINTypeNames {
		end, now := want.locks[pinType], r.Now/1e6
		lives := max(end-now, 0)
		if end == now && r.Locks[i] == 1 {
			lives = 1 // its last millisecond
		}
		if gone := r.Locks[i] == 0 && end <= latest/1e6; r.Locks[i] != lives && !gone {
			return fmt.Sprintf("%v at %d: the lock of %s lives %d ms, want %d", k, r.Position.Sequence, pinType, r.Locks[i], lives)
		}
	}
	return ""
}

// find says at which sequence a view was as it is stored.
func (o *oracle) find(k view.Key, stored []byte) string {
	if stored == nil {
		return "none"
	}
	for _, v := range o.versions[k] {
		if bytes.Equal(v.stored, stored) {
			return fmt.Sprint("that of sequence ", v.sequence)
		}
	}
	return "of no sequence"
}
