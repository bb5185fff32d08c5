package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pinstatus/pinstatus/projector/view"
)

// lockSlack is by how much a lock key's remaining time may seem to be off: the store counts in
// milliseconds, and looks at its clock and at a portion's last key a little apart.
const lockSlack = 20 * time.Millisecond

// pinTypes are the PIN types whose locks an account may have. Others are left to strayLocks.
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

// compareLocks holds an account's lock keys, of some PIN types, against the locks that a view
// names: a key is there while the lock's end lies ahead by the store's clock, and ends with it.
func compareLocks(types []string, stored []byte, got *view.Record) *Difference {
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
	for i, pinType := range types {
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

// strayLocks holds those lock keys that are not compared with a view of the fold, as there is none
// yet, or none at all, or as their PIN type is not configured, against what is stored beside them:
// a lock key without a view that names it would lock all the same.
func (r *run) strayLocks(ctx context.Context) error {
	stray := map[int]map[view.Key][]string{}
	look := func(p int, k view.Key, pinType string) error { //nolint:unparam // as ScanLocks wants it
		_, seen := slices.BinarySearch(r.seen[p], k.Hash())
		known := seen && !r.later[k] && slices.Contains(r.pinTypes(k), pinType)
		if r.untold[p] || known || slices.Contains(stray[p][k], pinType) {
			return nil
		}
		if stray[p] == nil {
			stray[p] = map[view.Key][]string{}
		}
		stray[p][k] = append(stray[p][k], pinType)
		return nil
	}
	for _, hashes := range r.seen {
		slices.Sort(hashes)
	}
	if err := r.patience.Do(ctx, func() error { return r.opts.Store.ScanLocks(ctx, r.generation, look) }); err != nil {
		return fmt.Errorf("scan the locks: %w", err)
	}
	for _, p := range slices.Sorted(maps.Keys(stray)) {
		var reads []view.Read
		for k, types := range stray[p] {
			reads = append(reads, view.Read{Key: k, Locks: types})
		}
		for portion := range slices.Chunk(reads, r.opts.portion) {
			if err := r.compareStray(ctx, p, portion, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// compareStray tells, at a second look, which lock keys of a partition no view beside them names.
func (r *run) compareStray(ctx context.Context, p int, reads []view.Read, second bool) error {
	records, err := r.store.Read(ctx, r.generation, reads)
	if err != nil {
		return err
	}
	at := records[0].Position
	if ok, err := r.judge(ctx, p, at); err != nil || !ok {
		return err
	}
	var suspects []view.Read
	for i := range reads {
		d := compareLocks(reads[i].Locks, records[i].Value, &records[i])
		switch {
		case d == nil || d.Problem != LockWrong: // a view that cannot be read is told of already
		case !second:
			suspects = append(suspects, reads[i])
		default:
			d.locate(reads[i].Key, p, at.Sequence)
			r.differ(d)
		}
	}
	if len(suspects) == 0 {
		return nil
	}
	return r.compareStray(ctx, p, suspects, true)
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }
