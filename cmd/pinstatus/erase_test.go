package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap/zaptest"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/erase"
	"github.com/pinstatus/pinstatus/consumer/processed"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/memstore"
	"github.com/pinstatus/pinstatus/projector/snapshot"
	"github.com/pinstatus/pinstatus/projector/view"
)

func TestEraseCommand(t *testing.T) {
	b := newLetterBroker(t)
	b.send(t, "account.acme.alice", pinSet("acme", "alice"), nil)
	b.send(t, "account.acme.bob", pinSet("acme", "bob"), nil)
	b.send(t, "account.acme.bob", "no JSON", nil)
	b.send(t, "account.acme.carol", pinSet("acme", "carol"), nil)
	b.project(t)
	run := func(in string, args ...string) (string, error) {
		t.Helper()
		out, _, err := runCommand(t, newErase(), in, append(args, "--nats-url", b.url)...)
		return out, err
	}
	out, err := run("alice\r\n\nbob\n", "account", "-", "--tenant", "acme")
	want := `account alice: erased from the views by event 5; 1 event and 0 dead letters deleted
account bob: erased from the views by event 6; 2 events and 1 dead letter deleted
`
	if d := cmp.Diff(want, out); err != nil || d != "" {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	out, err = run("", "account", "alice", "--tenant", "acme", "--json", "--snapshot-dir", t.TempDir())
	want = `{"kind":"account","tenant":"acme","id":"alice","sequence":7,"events":1,"deadLetters":0}` + "\n"
	if d := cmp.Diff(want, out); err != nil || d != "" {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	s, err := b.js.Stream(t.Context(), consumer.EventStream)
	if err != nil {
		t.Fatal(err)
	}
	info := s.CachedInfo()
	if info.State.Msgs != 3 || info.Config.Metadata["pinstatus.erased"] != "4" {
		t.Errorf("%d events left, %s accounted for; want 3 and 4", info.State.Msgs, info.Config.Metadata["pinstatus.erased"])
	}
	for _, tt := range []struct{ args, want string }{
		{"code x", "--tenant is required"},
		{"code x --tenant other", "the erasing event 8 is a dead letter: unknown-tenant (tenant): nothing is erased"},
		{"code x --tenant a.b", `code "x" of tenant "a.b": invalid: tenant`},
		{"code - --tenant acme", "standard input: no ids"},
		{"account alice - --tenant acme", "- stands for the ids of standard input, and alone"},
		{"code", "requires at least 1 arg(s), only received 0"},
		{"code x --tenant acme --snapshot-dir /no/such", "--snapshot-dir: open /no/such: no such file or directory"},
	} {
		if _, err := run("", strings.Fields(tt.args)...); err == nil || err.Error() != tt.want {
			t.Errorf("%s: got %v, want %s", tt.args, err, tt.want)
		}
	}
	if out, errOut, err := runCommand(t, newErase(), "", "account", "alice", "", "--tenant", "acme", "--nats-url", b.url); err == nil ||
		err.Error() != "an ID is empty" || out+errOut != "" {
		t.Errorf("an empty ID: %v, and %q", err, out+errOut)
	}
}

func TestStoredPositions(t *testing.T) {
	store := memstore.New(memstore.Options{})
	const stream = 42
	p := &storedPositions{views: store, stream: stream}
	const subject = "pinstatus.events.sms.acme.2B67"
	at := func(want uint64) {
		t.Helper()
		if got, err := p.Position(t.Context(), subject); err != nil || got != want {
			t.Errorf("got %d, %v; want %d", got, err, want)
		}
	}
	at(0) // no generation serves
	g := view.Generation{Number: 3, Partitions: 4}
	if _, err := store.SetServing(t.Context(), view.Serving{}, view.Serving{Generation: g}); err != nil {
		t.Fatal(err)
	}
	at(0) // no position
	k := view.Key{Kind: view.KindPIN, Tenant: "acme", ID: "2B67"}
	var from view.Position
	move := func(to view.Position) {
		t.Helper()
		if _, err := store.Commit(t.Context(), &projector.Commit{Generation: g, Partition: k.Partition(4), From: from, To: to}); err != nil {
			t.Fatal(err)
		}
		from = to
	}
	move(view.Position{Sequence: 7, Stream: stream, Partitions: 4})
	at(7)
	move(view.Position{Sequence: 9, Stream: stream + 1, Partitions: 4})
	at(0) // of another stream
}

// A snapshot holds what a key had if it was taken before the erasing event.
func TestShelf(t *testing.T) {
	b := newLetterBroker(t)
	b.send(t, "account.acme.alice", pinSet("acme", "alice"), nil)
	stream, err := consumer.Describe(t.Context(), b.js)
	if err != nil {
		t.Fatal(err)
	}
	alice := erase.Key{Kind: erase.Account, Tenant: "acme", ID: "alice"}
	store := memstore.New(memstore.Options{})
	g := view.Generation{Number: 1, Partitions: stream.Partitions}
	if _, err := store.SetServing(t.Context(), view.Serving{}, view.Serving{Generation: g}); err != nil {
		t.Fatal(err)
	}
	for p := range g.Partitions {
		c := &projector.Commit{Generation: g, Partition: p, To: view.Position{
			Sequence: 1, Witness: stream.Last.Received, Stream: stream.Created, Partitions: g.Partitions, Codec: view.CodecVersion,
		}}
		if k := viewKey(alice); k.Partition(g.Partitions) == p {
			c.Writes = []projector.Write{{Key: k, Value: new(fold.Account).Append(nil)}}
		}
		if _, err := store.Commit(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	if _, err := snapshot.Save(t.Context(), snapshot.Source{
		Store: store, Events: snapshot.JetStream(b.js), Log: zaptest.NewLogger(t),
	}, filepath.Join(dir, "one"+snapshot.Extension)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	other := alice
	other.Kind = erase.Code
	for _, tt := range []struct {
		key      erase.Key
		sequence uint64
		want     []string
	}{{alice, 2, []string{"one.snapshot"}}, {alice, 1, nil}, {other, 2, nil}} {
		got, err := shelf(dir).Holding(t.Context(), tt.key, tt.sequence)
		if d := cmp.Diff(tt.want, got); err != nil || d != "" {
			t.Errorf("%v erased by %d: %v (-want +got):\n%s", tt.key, tt.sequence, err, d)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "damaged"+snapshot.Extension), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := shelf(dir).Holding(t.Context(), alice, 2); err == nil {
		t.Error("no error for a damaged snapshot")
	}
}

// Only notices of this stream and of the newest generation count, and those of the subject's
// partition, and none if the views are not spread as the stream is.
func TestHeardPositions(t *testing.T) {
	b := newLetterBroker(t)
	const subject = "pinstatus.events.sms.acme.2B67"
	stream := &consumer.Stream{Partitions: 16, Created: 42}
	h, err := hearPositions(b.js.Conn(), stream)
	if err != nil {
		t.Fatal(err)
	}
	p := processed.Partition(subject, stream.Partitions)
	hear := func(n view.Notice) {
		h.hear(&nats.Msg{Subject: view.NoticeSubject(view.Generation{Number: n.Generation}, n.Partition), Data: n.Append(nil)})
	}
	hearAll := func(generation uint64, partitions int, to uint64) {
		for i := range partitions {
			hear(view.Notice{Generation: generation, Partition: i, Stream: 42, To: to})
		}
	}
	unknown := func(why string) {
		t.Helper()
		if got, err := h.Position(t.Context(), subject); err == nil {
			t.Errorf("%s: %d, want that nothing is known", why, got)
		}
	}
	unknown("before any notice")
	hearAll(1, 8, 80)
	unknown("views of 8 partitions")
	hearAll(2, 32, 81)
	unknown("views of 32 partitions")
	hearAll(3, 16, 7)
	for i, n := range []view.Notice{
		{Generation: 3, Partition: p, Stream: 41, To: 90},
		{Generation: 3, Partition: (p + 1) % 16, Stream: 42, To: 91},
		{Generation: 2, Partition: p, Stream: 42, To: 92},
		{Generation: 2, Partition: 16, Stream: 42, To: 93},
	} {
		hear(n)
		if got, err := h.Position(t.Context(), subject); err != nil || got != 7 {
			t.Errorf("after notice %d: %d, %v; want 7", i, got, err)
		}
	}
	h.hear(&nats.Msg{Subject: view.NoticeSubject(view.Generation{Number: 1}, p), Data: []byte("forged")})
	if got, _ := h.Position(t.Context(), subject); got != 7 {
		t.Errorf("after a malformed notice: %d", got)
	}
}
