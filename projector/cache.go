package projector

import (
	"strings"

	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/view"
)

// cache keeps the states of a partition's views between batches. What it holds is what
// the store holds: it is dropped whole whenever the partition is opened.
type cache struct {
	limit int
	views map[view.Key]*cached
}

func newCache(limit int) *cache { return &cache{limit: limit, views: map[view.Key]*cached{}} }

// cached is the state of one view: of one kind, the other is nil.
type cached struct {
	key     view.Key
	code    *fold.Code
	account *fold.Account
	size    int              // bytes of the stored form
	locks   map[string]int64 // ends of the locks whose keys the store holds, Unix milliseconds
	changed bool             // since the last commit
}

// get returns the state of a view. If it is not found, the state is yet to be parsed.
func (c *cache) get(k view.Key) (v *cached, found bool) {
	if v = c.views[k]; v == nil {
		k.Tenant, k.ID = strings.Clone(k.Tenant), strings.Clone(k.ID)
		v = &cached{key: k}
		c.views[k] = v
		return v, false
	}
	return v, true
}

// trim forgets views beyond the limit, whichever come first in the map's random order.
func (c *cache) trim() {
	for k := range c.views {
		if len(c.views) <= c.limit {
			return
		}
		delete(c.views, k)
	}
}

// parse takes the state from its stored form.
func (v *cached) parse(stored []byte) (err error) {
	v.size = len(stored)
	if v.key.Kind == view.KindPIN {
		v.code, err = fold.ParseCode(stored)
		return err
	}
	if v.account, err = fold.ParseAccount(stored); err != nil {
		return err
	}
	v.locks = lockEnds(v.account)
	return nil
}

func (v *cached) fold(in fold.Input, t *fold.Tenant) fold.Outcome {
	if v.code != nil {
		return v.code.Fold(in, t)
	}
	return v.account.Fold(in, t)
}

// write is what a commit writes of the view.
func (v *cached) write(keepUntil int64) Write {
	v.changed = false
	value, had := make([]byte, 0, v.size+typicalView), v.locks
	if v.code != nil {
		value = v.code.Append(value)
	} else {
		value = v.account.Append(value)
		v.locks = lockEnds(v.account)
	}
	v.size = len(value)
	return v.stored(value, had, keepUntil)
}

// stored is the write of the view's stored form where the store holds the locks had.
func (v *cached) stored(value []byte, had map[string]int64, keepUntil int64) Write {
	w := Write{Key: v.key, Value: value}
	var expiresAt int64
	if v.code != nil {
		expiresAt = v.code.ExpiresAt()
	} else {
		expiresAt = v.account.ExpiresAt()
		w.Locks = changedLocks(had, v.locks)
	}
	if expiresAt != 0 {
		w.ExpireAt = max(milliseconds(expiresAt), keepUntil)
	}
	return w
}

// lockEnds are the ends of an account's locks, in milliseconds, by PIN type.
func lockEnds(a *fold.Account) map[string]int64 {
	shown := a.View()
	if !shown.Exists {
		return nil
	}
	var ends map[string]int64
	for i := range shown.PINs {
		if p := &shown.PINs[i]; p.LockEnd != 0 {
			if ends == nil {
				ends = map[string]int64{}
			}
			ends[p.Type] = milliseconds(p.LockEnd)
		}
	}
	return ends
}

// changedLocks is what turns the lock keys of was into those of now.
func changedLocks(was, now map[string]int64) []Lock {
	var locks []Lock
	for pinType, end := range now {
		if was[pinType] != end {
			locks = append(locks, Lock{PINType: pinType, Until: end})
		}
	}
	for pinType := range was {
		if now[pinType] == 0 {
			locks = append(locks, Lock{PINType: pinType})
		}
	}
	return locks
}

// milliseconds rounds a time in Unix nanoseconds up to milliseconds: a lock never ends
// early.
func milliseconds(ns int64) int64 { return (ns + 999_999) / 1_000_000 }
