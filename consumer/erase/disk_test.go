package erase_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/embed"
	"github.com/pinstatus/pinstatus/consumer/erase"
	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/consumer/processed/processedtest"
)

// What the events and dead letters said is not on the broker's disk any more.
func TestNothingIsLeftOnDisk(t *testing.T) {
	const inEvent, inLetter, stays = "what-the-device-was-called", "what-the-bad-event-said", "what-another-device-was-called"
	dir := t.TempDir()
	srv, err := embed.Start(embed.Options{Addr: "127.0.0.1:0", StoreDir: dir, Log: zaptest.NewLogger(t, zaptest.Level(zap.ErrorLevel))})
	if err != nil {
		t.Fatal(err)
	}
	stop := func() {
		if err := srv.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
	nc, err := nats.Connect(srv.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := consumer.Apply(t.Context(), js, consumer.Streams{}); err != nil {
		t.Fatal(err)
	}
	b := &broker{Projector: processedtest.New(t, js, func(*event.Event) event.Reason { return "" }), js: js}
	attempt := event.Event{Type: event.Attempt, Tenant: "acme", Key: "alice", PINType: "Parental", Outcome: event.Failed, Device: inEvent}
	b.publish(t, attempt)
	attempt.Key, attempt.Device = "bob", stays
	b.publish(t, attempt)
	b.send(t, "attempt.acme.alice", inLetter)
	b.Step()
	deadline := time.Now().Add(patience)
	for !onDisk(t, dir, inEvent) || !onDisk(t, dir, inLetter) {
		if time.Now().After(deadline) {
			t.Fatal("the broker has not written what it was sent")
		}
	}
	waited := false
	_, err = b.eraser(t, erase.Options{}).Erase(t.Context(), []erase.Key{{Kind: erase.Account, Tenant: "acme", ID: "alice"}}, func(p erase.Progress) {
		if p.Step == erase.Waiting && !waited {
			waited = true
			b.Step()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	stop()
	for _, text := range []string{inEvent, inLetter} {
		if onDisk(t, dir, text) {
			t.Errorf("%q is on disk", text)
		}
	}
	if !onDisk(t, dir, stays) {
		t.Errorf("%q is not on disk", stays)
	}
}

// onDisk reports whether a file of the folder holds the text.
func onDisk(tb testing.TB, dir, text string) bool {
	tb.Helper()
	found := false
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		found = found || bytes.Contains(content, []byte(text))
		return err
	})
	if err != nil && !os.IsNotExist(err) { // the broker replaces files
		tb.Fatal(err)
	}
	return found
}
