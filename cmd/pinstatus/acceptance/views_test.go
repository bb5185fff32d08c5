package acceptance

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pinstatus/pinstatus/projector/view"
)

// checkViews compares all that stands in Redis with the reference: every view, every lock
// key, every position, and that there is nothing else.
func (o *oracle) checkViews(tb testing.TB, d *deployment) {
	tb.Helper()
	store, g := d.store()
	keys := o.reference.Keys()
	reads := make([]view.Read, len(keys))
	for i, k := range keys {
		reads[i].Key = k
		if k.Kind == view.KindAccount {
			for _, t := range o.config.tenant(k.Tenant).PINTypes {
				reads[i].Locks = append(reads[i].Locks, t.Name)
			}
		}
	}
	var wrong []error
	spaces := view.NewKeyspace("", g.Number, g.Partitions)
	expected := map[string]bool{view.GenerationKey(""): true, view.ProjectorsKey(""): true}
	for p := range g.Partitions {
		expected[spaces.Position(p)], expected[spaces.Lease(p)] = true, true
	}
	for part := range slices.Chunk(reads, 256) {
		records, err := store.Read(tb.Context(), g, part)
		if err != nil {
			tb.Fatal(err)
		}
		for i, r := range part {
			if err := o.checkRecord(r, records[i]); err != nil {
				wrong = append(wrong, fmt.Errorf("view of %s of %s: %w", r.Key.ID, r.Key.Tenant, err))
			}
			p := r.Key.Partition(g.Partitions)
			expected[spaces.View(p, r.Key)] = true
			for _, t := range r.Locks {
				expected[spaces.Lock(p, r.Key, t)] = true
			}
		}
	}
	found := d.client.Scan(tb.Context(), 0, "*", 1000).Iterator()
	for found.Next(tb.Context()) {
		if !expected[found.Val()] {
			wrong = append(wrong, fmt.Errorf("key %s: no event accounts for it", found.Val()))
		}
	}
	if err := found.Err(); err != nil {
		tb.Fatal(err)
	}
	report(tb, fmt.Sprintf("%d views in Redis", len(keys)), wrong)
}

func (o *oracle) checkRecord(r view.Read, got view.Record) error {
	if got.Position.Refilling() || got.Position.Sequence < o.last {
		return fmt.Errorf("position %+v, want one not below %d", got.Position, o.last)
	}
	if r.Key.Kind == view.KindPIN {
		want := o.reference.Delivery(r.Key.Tenant, r.Key.ID)
		return checkStoredDelivery(&want, got.Value)
	}
	want := o.reference.Account(r.Key.Tenant, r.Key.ID)
	if !want.Exists {
		want = view.Account{}
	}
	if err := checkStoredAccount(&want, got.Value); err != nil {
		return err
	}
	for i, t := range r.Locks {
		if err := checkLock(&want, t, got.Locks[i], got.Now); err != nil {
			return fmt.Errorf("lock key of %s: %w", t, err)
		}
	}
	return nil
}

func checkStoredDelivery(want *view.Delivery, stored []byte) error {
	known := len(want.Entries) > 0 || want.Verification.Known
	if stored == nil {
		if known {
			return fmt.Errorf("there is none, want %+v", *want)
		}
		return nil
	}
	got, _, err := view.DecodeDelivery(stored)
	if err != nil {
		return err
	}
	if !known { // nothing whose sequence could be seen
		got.Sequence = want.Sequence
	}
	return different(want, got)
}

func checkStoredAccount(want *view.Account, stored []byte) error {
	got := &view.Account{}
	if stored != nil {
		var err error
		if got, _, err = view.DecodeAccount(stored); err != nil {
			return err
		}
		if !got.Exists {
			got = &view.Account{}
		}
	}
	return different(want, got)
}

func different[V any](want, got *V) error {
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		return fmt.Errorf("(-want +got):\n%s", strings.TrimSpace(d))
	}
	return nil
}

// checkLock wants the key of a lock that runs, to its end, and none of one that does not.
func checkLock(v *view.Account, pinType string, left, now int64) error {
	var end int64
	for _, p := range v.PINs {
		if p.Type == pinType {
			end = p.LockEnd
		}
	}
	// Redis tells the time first and then how long the key still lives, and may be held up
	// in between.
	const slow, rounded = int64(time.Second), int64(2 * time.Millisecond)
	want := max(0, end-now)
	if got := left * int64(time.Millisecond); got < want-slow || got > want+rounded {
		return fmt.Errorf("lives for another %d ms, want %v", left, time.Duration(want))
	}
	return nil
}
