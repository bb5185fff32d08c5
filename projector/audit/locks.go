package audit

import (
	"fmt"
	"slices"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
)

// lockSlack is by how much a lock key's remaining time may seem to be off: the store counts in
// milliseconds, and looks at its clock and at a portion's last key a little apart.
const lockSlack = 20 * time.Millisecond

// pinTypes are the PIN types whose locks an account may have.
func (r *run) pinTypes(k view.Key) []string {
	t := r.opts.Policy.Tenants[k.Tenant]
	if k.Kind != view.KindAccount || t == nil {
		return nil
	}
	types := make([]string, 0, len(t.PINTypes))
	for name := range t.PINTypes {
		types = append(types, name)
	}
	slices.Sort(types)
	return types
}

// compareLocks holds an account's lock keys against the locks that its view names: a key is
// there while the lock's end lies ahead by the store's clock, and ends with it.
func (r *run) compareLocks(k view.Key, stored []byte, got *view.Record) *Difference {
	ends := map[string]time.Time{}
	if stored != nil {
		a, _, err := view.DecodeAccount(stored)
		if err != nil {
			return &Difference{Problem: Unreadable, Detail: err.Error()}
		}
		for i := range a.PINs {
			if p := &a.PINs[i]; a.Exists && p.LockEnd != 0 {
				ends[p.Type] = time.Unix(0, p.LockEnd)
			}
		}
	}
	now := time.Unix(0, got.Now)
	d := &Difference{Problem: LockWrong}
	for i, pinType := range r.pinTypes(k) {
		end, locked := ends[pinType]
		left := time.Duration(got.Locks[i]) * time.Millisecond
		is := now.Add(left)
		switch {
		case left == 0 && (!locked || end.Before(now.Add(lockSlack))):
		case left > 0 && locked && is.Sub(end).Abs() <= lockSlack:
		case left > 0 && !locked && left <= lockSlack:
		default:
			f := Field{Path: "lock " + pinType, Want: "none", Got: "none"}
			if locked && end.After(now) {
				f.Want = "until " + stamp(end)
			}
			if left > 0 {
				f.Got = "until " + stamp(is)
			}
			d.Fields = append(d.Fields, f)
		}
	}
	if len(d.Fields) == 0 {
		return nil
	}
	d.Detail = fmt.Sprintf("by the store's clock, %s", stamp(now))
	return d
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }
