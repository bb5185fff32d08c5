package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap/zaptest"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/erase"
	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/consumer/processed"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/memstore"
	"github.com/pinstatus/pinstatus/projector/snapshot"
	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
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
	out, err = run("", "account", "nobody", "--tenant", "acme")
	want = `account nobody: erased from the views by event 8; 0 events and 0 dead letters deleted
  the streams held nothing of it: is this the id?
`
	if d := cmp.Diff(want, out); err != nil || d != "" {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	s, err := b.js.Stream(t.Context(), consumer.EventStream)
	if err != nil {
		t.Fatal(err)
	}
	info := s.CachedInfo()
	if info.State.Msgs != 4 || info.Config.Metadata["pinstatus.erased"] != "4" {
		t.Errorf("%d events left, %s accounted for; want 4 and 4", info.State.Msgs, info.Config.Metadata["pinstatus.erased"])
	}
	for _, tt := range []struct{ args, want string }{
		{"code x", "--tenant is required"},
		{"code x --tenant other", "the erasing event 9 is a dead letter: unknown-tenant (tenant): nothing of its key is erased: configure the tenant, and run the command again"},
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

// Where nobody has made views, as under a misspelt prefix, nothing is published.
func TestEraseWithoutViews(t *testing.T) {
	b := newLetterBroker(t)
	args := []string{"--nats-url", b.url, "--redis-url", redistest.Start(t).URL, "--redis-prefix", "misspelt:", "--wait", "1s"}
	const want = "nothing done: no generation serves: no projector has run with this --redis-url and --redis-prefix yet"
	_, _, erased := runCommand(t, newErase(), "", append(args, "account", "alice", "--tenant", "acme")...)
	_, _, replayed := runCommand(t, newDeadLetters(), "", append(args, "replay", "--all")...)
	for _, err := range []error{erased, replayed} {
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if stream, err := consumer.Describe(t.Context(), b.js); err != nil || stream.LastSequence != 0 {
		t.Errorf("%v, event %d was published", err, stream.LastSequence)
	}
}

// A wait that ended in vain says so in the words of the command line, and no number that it does
// not know.
func TestEraseWaits(t *testing.T) {
	b := newLetterBroker(t)
	_, _, err := runCommand(t, newErase(), "", "account", "alice", "--tenant", "acme", "--wait", "10ms", "--nats-url", b.url)
	want := `event 1 was not processed within --wait (10ms), it is not known where the views stand (change notices of 0 partitions, the stream has 16: ` +
		`views in Redis, which may be spread otherwise, are asked by --redis-url): see "pinstatus partitions" and the projector's log: run the command again`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	stopped := explainWait(fmt.Errorf("erasing %w", &processed.Error{
		Sequence: 7, Position: 6, Err: errors.Join(context.DeadlineExceeded),
	}), time.Minute)
	want = `event 7 was not processed within --wait (1m0s), the views stand at 6: see "pinstatus partitions" and the projector's log`
	if stopped.Error() != want {
		t.Errorf("got  %v\nwant %s", stopped, want)
	}
	for _, other := range []error{errors.New("down"), &processed.Error{Err: context.Canceled}} {
		if got := explainWait(other, time.Minute); got != other { //nolint:errorlint // the same
			t.Errorf("%v became %v", other, got)
		}
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

// A snapshot holds what a key had if it was taken before the erasing event and its view shows
// something. One that cannot be read does not hide the others.
func TestShelf(t *testing.T) {
	b := newLetterBroker(t)
	b.send(t, "account.acme.alice", pinSet("acme", "alice"), nil)
	stream, err := consumer.Describe(t.Context(), b.js)
	if err != nil {
		t.Fatal(err)
	}
	account := func(id string) erase.Key { return erase.Key{Kind: erase.Account, Tenant: "acme", ID: id} }
	known := new(fold.Account)
	known.Fold(fold.Input{Event: &event.Event{Type: event.AccountProvisioned, Time: 1, Key: "alice"}, Sequence: 1, Received: 1}, &fold.Tenant{})
	views := map[erase.Key]*fold.Account{account("alice"): known, account("bob"): {}, account("carol"): known}
	store := memstore.New(memstore.Options{})
	g := view.Generation{Number: 1, Partitions: stream.Partitions}
	if _, err := store.SetServing(t.Context(), view.Serving{}, view.Serving{Generation: g}); err != nil {
		t.Fatal(err)
	}
	for p := range g.Partitions {
		c := &projector.Commit{Generation: g, Partition: p, To: view.Position{
			Sequence: 1, Witness: stream.Last.Received, Stream: stream.Created, Partitions: g.Partitions, Codec: view.CodecVersion,
		}}
		for key, v := range views {
			if k := viewKey(key); k.Partition(g.Partitions) == p {
				c.Writes = append(c.Writes, projector.Write{Key: k, Value: v.Append(nil)})
			}
		}
		if _, err := store.Commit(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	for _, name := range []string{"one", "two"} {
		if _, err := snapshot.Save(t.Context(), snapshot.Source{
			Store: store, Events: snapshot.JetStream(b.js), Log: zaptest.NewLogger(t),
		}, filepath.Join(dir, name+snapshot.Extension)); err != nil {
			t.Fatal(err)
		}
	}
	code := erase.Key{Kind: erase.Code, Tenant: "acme", ID: "alice"}
	of := []erase.Result{
		{Key: account("alice"), Sequence: 2}, {Key: account("bob"), Sequence: 2}, {Key: code, Sequence: 2}, {Key: account("carol"), Sequence: 1},
	}
	want := [][]string{{"one.snapshot", "two.snapshot"}, nil, nil, nil}
	holding := func() error {
		t.Helper()
		got, err := shelf(dir).Holding(t.Context(), of)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		return err
	}
	write := func(name string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("notes.txt")
	if err := holding(); err != nil {
		t.Error(err)
	}
	write("damaged.snapshot")
	write("short.snapshot")
	for _, name := range []string{"damaged.snapshot", "short.snapshot"} {
		if err := holding(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not name %s", err, name)
		}
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
