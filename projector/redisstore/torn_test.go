package redisstore

import (
	"errors"
	"strings"
	"testing"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
	"github.com/pinstatus/pinstatus/projector/view"
)

// TestTornCommit makes a script fail halfway, by an expiry that Commit lets nobody pass,
// and looks at what is left: nothing that could be taken for views of a position.
func TestTornCommit(t *testing.T) {
	for name, from := range map[string]view.Position{"first": {}, "later": {Sequence: 4, Stream: 1}} {
		t.Run(name, func(t *testing.T) { testTornCommit(t, from) })
	}
}

func testTornCommit(t *testing.T, from view.Position) {
	t.Helper()
	srv := redistest.Start(t)
	client, err := Dial(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	s, err := New(Options{Client: client})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	g := view.Generation{Number: 1, Partitions: 1}
	a, b := view.Key{Kind: view.KindAccount, Tenant: "acme", ID: "a"}, view.Key{Kind: view.KindAccount, Tenant: "acme", ID: "b"}
	if from != (view.Position{}) {
		if _, err := s.Commit(ctx, &projector.Commit{Generation: g, To: from, Writes: []projector.Write{
			{Key: a, Value: []byte("old")}, {Key: b, Value: []byte("old")},
		}}); err != nil {
			t.Fatal(err)
		}
	}

	c := &projector.Commit{Generation: g, From: from, To: view.Position{Sequence: 9, Stream: 1}, Writes: []projector.Write{
		{Key: a, Value: []byte("new")}, {Key: b, Value: []byte("new"), ExpireAt: 1 << 60},
	}}
	call := newCommitCall(view.NewKeyspace("", g.Number, g.Partitions), c)
	call.args[len(call.args)-1] = "never"
	if err := s.commitScript.Run(ctx, client, call.keys, call.args...).Err(); err == nil {
		t.Fatal("the script did not fail")
	}
	if got := srv.Do("GET", view.NewKeyspace("", 1, 1).View(0, a)); got != "new" {
		t.Fatalf("the script failed before its first view: it is %v", got)
	}

	var torn *TornError
	if _, _, err := s.Load(ctx, g, 0, []view.Key{a}); !errors.As(err, &torn) || torn.Partition != 0 {
		t.Errorf("load: %v, want a TornError", err)
	}
	for _, other := range []view.Position{{Sequence: 9, Stream: 2}, {Sequence: 8, Stream: 1}} {
		_, err := s.Commit(ctx, &projector.Commit{Generation: g, From: from, To: other})
		if !errors.As(err, &torn) || errorReason(err) != "torn" {
			t.Errorf("another commit: %v, want a TornError", err)
		}
	}
	if !strings.Contains(torn.Error(), "partition 0") || !strings.Contains(torn.Error(), "to 9") {
		t.Errorf("error %q does not name the partition and the commit", torn)
	}
	reads := []view.Read{{Key: a, Locks: []string{"Parental"}}}
	records, err := s.Read(ctx, g, reads)
	if err != nil || records[0].Position != (view.Position{}) || records[0].Value != nil || len(records[0].Locks) != 1 || records[0].Now == 0 {
		t.Errorf("read = %+v, %v, want a record without a position", records, err)
	}

	// The commit itself, tried again, finishes the work.
	if got, err := s.Commit(ctx, c); err != nil || got != c.To {
		t.Fatalf("the same commit again = %+v, %v", got, err)
	}
	pos, values, err := s.Load(ctx, g, 0, []view.Key{a, b})
	if err != nil || pos != c.To || string(values[0]) != "new" || string(values[1]) != "new" {
		t.Errorf("after the repeat: %+v, %q, %v", pos, values, err)
	}
}

// TestTornMark: what stands for an unfinished commit is never a position, and tells commits
// apart.
func TestTornMark(t *testing.T) {
	from, to := view.Position{Sequence: 1}, view.Position{Sequence: 2}
	mark := tornMark(from, to)
	if _, err := view.ParsePosition([]byte(mark)); err == nil {
		t.Errorf("mark %q reads as a position", mark)
	}
	if tornMark(from, to) != mark {
		t.Error("two marks for one commit")
	}
	for _, p := range []view.Position{{}, {Sequence: 1, Witness: 1}, {Sequence: 1, Stream: 1}, {Sequence: 1, PolicyHash: "h"}, {Sequence: 1, Refill: 1}} {
		if tornMark(p, to) == mark || tornMark(from, view.Position{Sequence: 2, Witness: 1}) == mark {
			t.Errorf("one mark for two commits, from %+v", p)
		}
	}
}
