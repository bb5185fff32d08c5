package fold_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/fold/foldtest"
)

// Whatever a PIN code's stream holds, each event comes to what the reference says, and so
// does the view after it.
func TestCodeEqualsReference(t *testing.T) {
	t.Run("any", rapid.MakeCheck(codeEqualsReference(foldtest.CodeStreams)))
	t.Run("long", fewer(codeEqualsReference(foldtest.LongCodeStreams)))
}

func codeEqualsReference(streams func(*fold.Tenant) *rapid.Generator[[]fold.Input]) func(*rapid.T) {
	return func(t *rapid.T) {
		policy := foldtest.Tenants().Draw(t, "policy")
		stream := streams(policy).Draw(t, "stream")
		var got fold.Code
		var want foldtest.Code
		for i, in := range stream {
			wantOutcome, gotOutcome := want.Fold(in, policy), got.Fold(in, policy)
			w, g := want.View(), got.View()
			if len(w.Entries) == 0 && !w.Verification.Known { // there is nothing whose sequence could be seen
				g.Sequence = w.Sequence
			}
			switch d := diff(w, g); {
			case gotOutcome != wantOutcome:
				t.Errorf("sequence %d comes to %v, want %v", in.Sequence, gotOutcome, wantOutcome)
			case d != "":
				t.Errorf("view after sequence %d (-want +got):\n%s", in.Sequence, d)
			case w.ExpiresAt != got.ExpiresAt():
				t.Errorf("after sequence %d it expires at %d, want %d", in.Sequence, got.ExpiresAt(), w.ExpiresAt)
			default:
				continue
			}
			t.Fatalf("%s%s", foldtest.Describe(stream[:i+1]), foldtest.DescribeTenant(policy))
		}
	}
}

// Whatever an account's stream holds, each event comes to what the reference says, and so
// does the view after it.
func TestAccountEqualsReference(t *testing.T) {
	t.Run("any", rapid.MakeCheck(accountEqualsReference(foldtest.AccountStreams)))
	t.Run("long", fewer(accountEqualsReference(foldtest.LongAccountStreams)))
}

func accountEqualsReference(streams func(*fold.Tenant) *rapid.Generator[[]fold.Input]) func(*rapid.T) {
	return func(t *rapid.T) {
		policy := foldtest.Tenants().Draw(t, "policy")
		stream := streams(policy).Draw(t, "stream")
		var got fold.Account
		var want foldtest.Account
		for i, in := range stream {
			wantOutcome, gotOutcome := want.Fold(in, policy), got.Fold(in, policy)
			if wantOutcome == fold.NoEffect && (gotOutcome == fold.Duplicate || gotOutcome == fold.Conflict) {
				gotOutcome = fold.NoEffect // a repeat of an erased event may be known or not
			}
			w, g := want.View(), got.View()
			switch d := diff(visibleAccount(w), visibleAccount(g)); {
			case gotOutcome != wantOutcome:
				t.Errorf("sequence %d comes to %v, want %v", in.Sequence, gotOutcome, wantOutcome)
			case d != "":
				t.Errorf("view after sequence %d (-want +got):\n%s", in.Sequence, d)
			case w.Exists && w.Sequence != g.Sequence:
				t.Errorf("view after sequence %d is of sequence %d, want %d", in.Sequence, g.Sequence, w.Sequence)
			case want.ExpiresAt() != got.ExpiresAt():
				t.Errorf("after sequence %d it expires at %d, want %d", in.Sequence, got.ExpiresAt(), want.ExpiresAt())
			default:
				continue
			}
			t.Fatalf("%s%s", foldtest.Describe(stream[:i+1]), foldtest.DescribeTenant(policy))
		}
	}
}
