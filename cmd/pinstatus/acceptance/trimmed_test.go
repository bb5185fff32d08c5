package acceptance

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pinstatus/pinstatus/consumer/natstest"
	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
)

// A stream that no longer holds its first events, as an age limit leaves it, and a Redis that
// loses everything: with a snapshot the views come back by themselves, without one the
// projectors refuse to make half a truth, and an operator's command gives them the rest.
func TestFlushAllOnATrimmedStream(t *testing.T) {
	t.Parallel()
	servers, redis := natstest.Start(t), redistest.Start(t)
	f := newFleet(t, newConfig(t, tenant{ID: "acme"}, tenant{ID: "globex"}), servers.URL(), redis.URL)
	dir := t.TempDir()
	f.args = []string{"--snapshot-dir", dir}
	f.scale(2)
	f.answer(1)
	messages := burst(t, 6000)
	f.broker.sendAll(messages[:4000])
	f.projected(4000)
	file := filepath.Join(t.TempDir(), "saved.snapshot")
	if code, out := f.tool("snapshot", "save", file, "--config", f.config.file); code != 0 {
		t.Fatalf("pinstatus snapshot save: exit code %d:\n%s", code, out)
	}
	f.broker.sendAll(messages[4000:])
	o := newOracle(t, f.config, f.broker.stream(eventStream))
	f.projected(o.last)
	f.trim(3000)

	redis.Do("FLUSHALL")
	eventually(t, "the projectors refuse to make views of the rest", func() error {
		var alarms float64
		for _, p := range f.projectors {
			n, err := p.total(`pinstatus_projector_alarm{reason="retention"}`)
			if err != nil {
				return err
			}
			alarms += n
		}
		if alarms != 16 {
			return fmt.Errorf("%v partitions have the alarm", alarms)
		}
		return nil
	})
	if code, out := f.tool("snapshot", "restore", file); code != 0 {
		t.Fatalf("pinstatus snapshot restore: exit code %d:\n%s", code, out)
	}
	f.projected(o.last)
	o.check(t, f.queries[0].api)
	if code, out := f.tool("verify", "--config", f.config.file); code != 2 || !strings.Contains(out, "snapshot") {
		t.Errorf("pinstatus verify without a snapshot: exit code %d, want 2 for it cannot tell:\n%s", code, out)
	}

	if code, out := f.tool("snapshot", "save", filepath.Join(dir, "kept.snapshot"), "--config", f.config.file); code != 0 {
		t.Fatalf("pinstatus snapshot save: exit code %d:\n%s", code, out)
	}
	redis.Do("FLUSHALL")
	f.projected(o.last)
	o.check(t, f.queries[0].api)
	if code, out := f.tool("verify", "--config", f.config.file, "--snapshot-dir", dir); code != 0 {
		t.Errorf("pinstatus verify: exit code %d:\n%s", code, out)
	}
}

// trim removes the stream's messages below a sequence, as its limits do.
func (f *fleet) trim(below uint64) {
	f.tb.Helper()
	s, err := f.broker.js.Stream(f.tb.Context(), eventStream)
	if err == nil {
		err = s.Purge(f.tb.Context(), jetstream.WithPurgeSequence(below))
	}
	if err != nil {
		f.tb.Fatal(err)
	}
}
