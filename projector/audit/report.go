package audit

import (
	"fmt"
	"strings"

	"github.com/pinstatus/pinstatus/projector/view"
)

// Problem says in one word how a view or a lock in the store differs from the fold.
type Problem string

// The problems.
const (
	Missing    Problem = "missing"    // the fold has the view, the store has not
	Extra      Problem = "extra"      // the store has a view that the fold has not
	Differs    Problem = "differs"    // what is shown differs
	Internal   Problem = "internal"   // what is shown is equal, what the fold goes on from is not
	Unreadable Problem = "unreadable" // what is stored is no view
	LockWrong  Problem = "lock"       // a lock's key is missing, has another end, or should not be
)

// Difference is one view in which the store and the fold differ.
type Difference struct {
	Problem   Problem `json:"problem"`
	Kind      string  `json:"kind"` // pin or account
	Tenant    string  `json:"tenant"`
	ID        string  `json:"id"`
	Partition int     `json:"partition"`
	Position  uint64  `json:"position"` // the sequence up to which both sides were compared
	Fields    []Field `json:"fields,omitempty"`
	Detail    string  `json:"detail,omitempty"`
}

// Field is one member that differs; an empty value stands for none.
type Field struct {
	Path string `json:"path"`
	Want string `json:"want"` // by the fold of the stream
	Got  string `json:"got"`  // in the store
}

func (d *Difference) locate(k view.Key, partition int, position uint64) {
	d.Kind, d.Tenant, d.ID = kindName(k.Kind), k.Tenant, k.ID
	d.Partition, d.Position = partition, position
}

// Key is the key of the view.
func (d *Difference) Key() view.Key {
	k := view.Key{Kind: view.KindAccount, Tenant: d.Tenant, ID: d.ID}
	if d.Kind == kindName(view.KindPIN) {
		k.Kind = view.KindPIN
	}
	return k
}

func kindName(k view.Kind) string {
	if k == view.KindPIN {
		return "pin"
	}
	return "account"
}

var problems = map[Problem]string{
	Missing:    "is missing in the store",
	Extra:      "is in the store, and the stream knows nothing of it",
	Differs:    "differs",
	Internal:   "shows the same, but differs in the state that the next event is folded on",
	Unreadable: "cannot be read",
	LockWrong:  "has wrong lock keys",
}

// String tells the difference in a few lines: - is what the stream says, + what is stored.
func (d *Difference) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s of tenant %s (partition %d, position %d) %s\n",
		d.Kind, d.ID, d.Tenant, d.Partition, d.Position, problems[d.Problem])
	if d.Detail != "" {
		fmt.Fprintf(&b, "    %s\n", d.Detail)
	}
	for _, f := range d.Fields {
		if f.Want != "" {
			fmt.Fprintf(&b, "  - %s: %s\n", f.Path, f.Want)
		}
		if f.Got != "" {
			fmt.Fprintf(&b, "  + %s: %s\n", f.Path, f.Got)
		}
	}
	return b.String()
}

// Untold is a partition of which nothing could be said, or nothing to the end, and why.
type Untold struct {
	Partition int    `json:"partition"`
	Reason    string `json:"reason"`
}

// Report is what an audit found.
type Report struct {
	Generation  uint64 `json:"generation"`
	Partitions  int    `json:"partitions"`
	Snapshot    string `json:"snapshot,omitempty"` // what the fold began with, if not with nothing
	Passes      int    `json:"passes"`
	Through     uint64 `json:"through"`     // the lowest sequence up to which a partition was compared
	Views       int    `json:"views"`       // compared
	Ended       int    `json:"ended"`       // of these, whose life is over: one side has forgotten them
	Erased      int    `json:"erased"`      // of these, erased: what is shown was compared alone
	Refused     int    `json:"refused"`     // of these, equal but for events that were dead letters when they came
	Differences int    `json:"differences"` // views that differ; Options.Differ was told each

	Untold []Untold `json:"untold,omitempty"`
	// Mixed are the partitions that differ and whose views are not of the policy that they
	// were compared by, or whose history may mix several: a rebuild makes them uniform.
	Mixed []int    `json:"mixedPolicy,omitempty"`
	Notes []string `json:"notes,omitempty"`
}

// Equal reports whether all views could be compared and none differs.
func (r *Report) Equal() bool { return r.Differences == 0 && len(r.Untold) == 0 }
