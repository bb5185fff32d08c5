package fold_test

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/view"
)

// visibleDelivery is what can be seen of a code's view: nothing of an erased one.
func visibleDelivery(d view.Delivery) view.Delivery {
	d.Sequence, d.ExpiresAt = 0, 0
	return d
}

// visibleAccount is what can be seen of an account: nothing of one that does not exist.
func visibleAccount(a view.Account) view.Account {
	if !a.Exists {
		return view.Account{}
	}
	a.Sequence = 0
	return a
}

// diff is cmp.Diff for views, in which nil and empty lists are one.
func diff[V any](want, got V) string {
	if reflect.DeepEqual(want, got) { // by far faster
		return ""
	}
	return cmp.Diff(want, got, cmpopts.EquateEmpty())
}

// fatalf is of both *testing.T and *rapid.T.
type fatalf interface {
	Helper()
	Fatalf(format string, args ...any)
}

var _ fatalf = testing.TB(nil)

// storedCode stores a code and loads it again.
func storedCode(t fatalf, c *fold.Code) *fold.Code {
	t.Helper()
	b := c.Append(nil)
	again, err := fold.ParseCode(b)
	if err != nil {
		t.Fatalf("parse what was stored: %v", err)
	}
	return again
}

// storedAccount stores an account and loads it again.
func storedAccount(t fatalf, a *fold.Account) *fold.Account {
	t.Helper()
	b := a.Append(nil)
	again, err := fold.ParseAccount(b)
	if err != nil {
		t.Fatalf("parse what was stored: %v", err)
	}
	return again
}
