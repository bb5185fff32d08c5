package fold_test

import (
	"bytes"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/fold/foldtest"
	"github.com/pinstatus/pinstatus/projector/view"
)

// Any order of one set of events, with any repeats, gives one view.
func TestOrderDoesNotMatter(t *testing.T) {
	code := func(clamped bool) func(*rapid.T) {
		return func(t *rapid.T) {
			policy := foldtest.Tenants().Draw(t, "policy")
			set := foldtest.CodeSets(policy, clamped).Draw(t, "set")
			again := foldtest.Permutations(set).Draw(t, "again")
			want, got := foldCode(set, policy), foldCode(again, policy)
			if d := diff(visibleDelivery(want.View()), visibleDelivery(got.View())); d != "" {
				t.Fatalf("view in another order (-first +other):\n%s\nfirst:\n%sother:\n%s%s", d,
					foldtest.Describe(set), foldtest.Describe(again), foldtest.DescribeTenant(policy))
			}
		}
	}
	account := func(clamped bool) func(*rapid.T) {
		return func(t *rapid.T) {
			policy := foldtest.Tenants().Draw(t, "policy")
			set := foldtest.AccountSets(policy, clamped).Draw(t, "set")
			again := foldtest.Permutations(set).Draw(t, "again")
			want, got := foldAccount(set, policy), foldAccount(again, policy)
			if d := diff(visibleAccount(want.View()), visibleAccount(got.View())); d != "" {
				t.Fatalf("view in another order (-first +other):\n%s\nfirst:\n%sother:\n%s%s", d,
					foldtest.Describe(set), foldtest.Describe(again), foldtest.DescribeTenant(policy))
			}
		}
	}
	t.Run("code", rapid.MakeCheck(code(false)))
	t.Run("code, times ahead of the broker's", rapid.MakeCheck(code(true)))
	t.Run("account", rapid.MakeCheck(account(false)))
	t.Run("account, times ahead of the broker's", rapid.MakeCheck(account(true)))
}

// A repeat of an event, however late it comes, changes neither the view nor its sequence,
// and is no dead letter.
func TestRepeatsChangeNothing(t *testing.T) {
	t.Run("code", rapid.MakeCheck(func(t *rapid.T) {
		policy := foldtest.Tenants().Draw(t, "policy")
		stream := foldtest.CodeStreams(policy).Draw(t, "stream")
		c := &fold.Code{}
		began := 0 // where the view began
		for i, in := range stream {
			if in.Received >= c.ExpiresAt() {
				began = i
			}
			if o := c.Fold(in, policy); o.Rejected() != "" {
				continue
			}
			repeat := stream[rapid.IntRange(began, i).Draw(t, "repeat")]
			if !isFirst(stream, repeat) {
				continue // it may say something else
			}
			want := c.View()
			repeat.Received, repeat.Sequence = in.Received, in.Sequence+1
			outcome := c.Fold(repeat, policy)
			if d := diff(want, c.View()); d != "" || outcome.Rejected() != "" {
				t.Fatalf("%v by a repeat (-before +after):\n%s\n%srepeat:\n%s%s", outcome, d,
					foldtest.Describe(stream[:i+1]), foldtest.Describe([]fold.Input{repeat}), foldtest.DescribeTenant(policy))
			}
		}
	}))
	t.Run("account", rapid.MakeCheck(func(t *rapid.T) {
		policy := foldtest.Tenants().Draw(t, "policy")
		stream := foldtest.AccountStreams(policy).Draw(t, "stream")
		a := &fold.Account{}
		dead := map[[2]string]bool{}
		began := 0       // where repeats begin to be known: a deletion before is forgotten, with what it erased
		till := int64(0) // the latest deletion is forgotten then; 0 if there is none
		for i, in := range stream {
			if till != 0 && in.Received >= till {
				began, till = i, 0
			}
			o := a.Fold(in, policy)
			if o.Rejected() != "" {
				dead[[2]string{in.Event.Source, in.Event.ID}] = true
				continue
			}
			if in.Event.Type == event.AccountDeleted && (o == fold.Applied || o == fold.LateApplied) {
				till = max(till, in.Received+int64(30*24*time.Hour))
			}
			repeat := stream[rapid.IntRange(began, i).Draw(t, "repeat")]
			if dead[[2]string{repeat.Event.Source, repeat.Event.ID}] || !isFirst(stream, repeat) {
				continue // a dead letter has not taken place, and a copy that came later may say something else
			}
			before := a.View()
			want := before
			want.PINs = append([]view.PIN(nil), before.PINs...)
			repeat.Received, repeat.Sequence = in.Received, in.Sequence+1
			outcome := a.Fold(repeat, policy)
			if d := diff(visibleAccount(want), visibleAccount(a.View())); d != "" || outcome.Rejected() != "" {
				t.Fatalf("%v by a repeat (-before +after):\n%s\n%srepeat:\n%s%s", outcome, d,
					foldtest.Describe(stream[:i+1]), foldtest.Describe([]fold.Input{repeat}), foldtest.DescribeTenant(policy))
			}
			if want.Sequence != a.View().Sequence {
				t.Fatalf("a repeat changed the sequence: %s", foldtest.Describe(append(stream[:i+1:i+1], repeat)))
			}
		}
	}))
}

// isFirst reports whether the event is the stream's first copy of it.
func isFirst(stream []fold.Input, in fold.Input) bool {
	for _, other := range stream {
		if other.Event.ID == in.Event.ID && other.Event.Source == in.Event.Source {
			return other.Sequence == in.Sequence
		}
	}
	return false
}

// It does not matter when a state is stored and loaded again, and so not where batches
// end. The stored form is the same in the end, byte by byte.
func TestStoringDoesNotMatter(t *testing.T) {
	code := func(streams func(*fold.Tenant) *rapid.Generator[[]fold.Input]) func(*rapid.T) {
		return func(t *rapid.T) {
			policy := foldtest.Tenants().Draw(t, "policy")
			stream := streams(policy).Draw(t, "stream")
			often := pickOften(t)
			never, now, always := &fold.Code{}, &fold.Code{}, &fold.Code{}
			for i, in := range stream {
				want := never.Fold(in, policy)
				if got := now.Fold(in, policy); got != want {
					t.Fatalf("event %d, stored now and then: %v, want %v", i, got, want)
				}
				if got := always.Fold(in, policy); got != want {
					t.Fatalf("event %d, stored always: %v, want %v", i, got, want)
				}
				always = storedCode(t, always)
				if i%often == 0 {
					now = storedCode(t, now)
				}
			}
			want := never.Append(nil)
			if got := now.Append(nil); !bytes.Equal(want, got) {
				t.Fatalf("stored now and then: %s", diff(want, got))
			}
			if got := always.Append([]byte("x")); !bytes.Equal(want, got[1:]) {
				t.Fatalf("stored always: %s", diff(want, got[1:]))
			}
			if d := diff(never.View(), always.View()); d != "" {
				t.Fatalf("view (-never stored +always stored):\n%s", d)
			}
		}
	}
	account := func(streams func(*fold.Tenant) *rapid.Generator[[]fold.Input]) func(*rapid.T) {
		return func(t *rapid.T) {
			policy := foldtest.Tenants().Draw(t, "policy")
			stream := streams(policy).Draw(t, "stream")
			often := pickOften(t)
			never, now, always := &fold.Account{}, &fold.Account{}, &fold.Account{}
			for i, in := range stream {
				want := never.Fold(in, policy)
				if got := now.Fold(in, policy); got != want {
					t.Fatalf("event %d, stored now and then: %v, want %v", i, got, want)
				}
				if got := always.Fold(in, policy); got != want {
					t.Fatalf("event %d, stored always: %v, want %v", i, got, want)
				}
				always = storedAccount(t, always)
				if i%often == 0 {
					now = storedAccount(t, now)
				}
			}
			want := never.Append(nil)
			if got := now.Append(nil); !bytes.Equal(want, got) {
				t.Fatalf("stored now and then: %s", diff(want, got))
			}
			if got := always.Append([]byte("x")); !bytes.Equal(want, got[1:]) {
				t.Fatalf("stored always: %s", diff(want, got[1:]))
			}
			if d := diff(never.View(), always.View()); d != "" {
				t.Fatalf("view (-never stored +always stored):\n%s", d)
			}
		}
	}
	t.Run("code", rapid.MakeCheck(code(foldtest.CodeStreams)))
	t.Run("code, long", fewer(code(foldtest.LongCodeStreams)))
	t.Run("account", rapid.MakeCheck(account(foldtest.AccountStreams)))
	t.Run("account, long", fewer(account(foldtest.LongAccountStreams)))
}

func pickOften(t *rapid.T) int { return rapid.IntRange(2, 7).Draw(t, "often") }

// The sequence changes with what can be seen, and with nothing else.
func TestSequenceIsOfTheLastChange(t *testing.T) {
	t.Run("code", rapid.MakeCheck(func(t *rapid.T) {
		policy := foldtest.Tenants().Draw(t, "policy")
		stream := foldtest.CodeStreams(policy).Draw(t, "stream")
		c := &fold.Code{}
		for i, in := range stream {
			before := storedCode(t, c).View() // a copy: views share memory with the state
			gone := in.Received >= before.ExpiresAt
			c.Fold(in, policy)
			after := c.View()
			if len(after.Entries) == 0 && !after.Verification.Known {
				continue // nothing can be seen
			}
			want := before.Sequence
			if d := diff(visibleDelivery(before), visibleDelivery(after)); d != "" || gone {
				want = in.Sequence
			}
			if after.Sequence != want {
				t.Fatalf("sequence %d, want %d\n%s", after.Sequence, want, foldtest.Describe(stream[:i+1]))
			}
		}
	}))
	t.Run("account", rapid.MakeCheck(func(t *rapid.T) {
		policy := foldtest.Tenants().Draw(t, "policy")
		stream := foldtest.AccountStreams(policy).Draw(t, "stream")
		a := &fold.Account{}
		for i, in := range stream {
			before := storedAccount(t, a).View()
			a.Fold(in, policy)
			after := a.View()
			if !after.Exists {
				continue
			}
			want := before.Sequence
			if diff(visibleAccount(before), visibleAccount(after)) != "" {
				want = in.Sequence
			}
			if after.Sequence != want {
				t.Fatalf("sequence %d, want %d\n%s", after.Sequence, want, foldtest.Describe(stream[:i+1]))
			}
		}
	}))
}

func foldCode(stream []fold.Input, t *fold.Tenant) *fold.Code {
	c := &fold.Code{}
	for _, in := range stream {
		c.Fold(in, t)
	}
	return c
}

func foldAccount(stream []fold.Input, t *fold.Tenant) *fold.Account {
	a := &fold.Account{}
	for _, in := range stream {
		a.Fold(in, t)
	}
	return a
}
