package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/natstest"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/redisstore"
	"github.com/pinstatus/pinstatus/projector/snapshot"
	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
	"github.com/pinstatus/pinstatus/projector/view"
)

// shelved is a broker and a Redis with an account in each of two partitions.
type shelved struct {
	t     *testing.T
	nats  *natstest.Server
	js    jetstream.JetStream
	redis *redistest.Server
	store *redisstore.Store
	flags []string
	keys  [2]view.Key
}

func newShelved(t *testing.T) *shelved {
	server, redis := natstest.Start(t), redistest.Start(t)
	s := &shelved{t: t, nats: server, js: server.JetStream(), redis: redis, flags: []string{"--nats-url", server.URL(), "--redis-url", redis.URL}}
	if err := consumer.Apply(t.Context(), s.js, consumer.Streams{Partitions: 2}); err != nil {
		t.Fatal(err)
	}
	client := redis.Client()
	t.Cleanup(func() { _ = client.Close() })
	var err error
	if s.store, err = redisstore.New(redisstore.Options{Client: client, Registerer: prometheus.NewRegistry()}); err != nil {
		t.Fatal(err)
	}
	for i := 0; s.keys[0].ID == "" || s.keys[1].ID == ""; i++ {
		k := view.Key{Kind: view.KindAccount, Tenant: "acme", ID: fmt.Sprint("alice", i)}
		s.keys[k.Partition(2)] = k
	}
	s.publish(2)
	s.fill()
	return s
}

func (s *shelved) publish(events int) {
	s.t.Helper()
	for range events {
		if _, err := s.js.Publish(s.t.Context(), "pinstatus.events.account.acme.x", []byte("no event")); err != nil {
			s.t.Fatal(err)
		}
	}
}

// fill fills Redis as a projector that has folded the whole stream.
func (s *shelved) fill() {
	s.t.Helper()
	stream, err := consumer.Describe(s.t.Context(), s.js)
	if err != nil {
		s.t.Fatal(err)
	}
	g := view.Generation{Number: 3, Partitions: 2}
	if _, err := s.store.SetServing(s.t.Context(), view.Serving{}, view.Serving{Generation: g}); err != nil {
		s.t.Fatal(err)
	}
	for p, k := range s.keys {
		c := &projector.Commit{
			Generation: g, Partition: p, Writes: []projector.Write{{Key: k, Value: new(fold.Account).Append(nil)}},
			To: view.Position{Sequence: stream.LastSequence, Witness: stream.Last.Received, Stream: stream.Created, Partitions: 2, Codec: view.CodecVersion, Policy: 1},
		}
		if at, err := s.store.Commit(s.t.Context(), c); err != nil || at != c.To {
			s.t.Fatalf("commit: %+v, %v", at, err)
		}
	}
}

func (s *shelved) trim(first uint64) {
	s.t.Helper()
	stream, err := s.js.Stream(s.t.Context(), consumer.EventStream)
	if err == nil {
		err = stream.Purge(s.t.Context(), jetstream.WithPurgeSequence(first))
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *shelved) run(args ...string) (string, error) {
	s.t.Helper()
	if args[0] != "info" {
		args = append(args, s.flags...)
	}
	out, _, err := runCommand(s.t, newSnapshot(), "", args...)
	return out, err
}

func (s *shelved) wants(want string, args ...string) {
	s.t.Helper()
	out, err := s.run(args...)
	if err != nil || !regexp.MustCompile("^(?s:"+want+")$").MatchString(out) {
		s.t.Errorf("%s: %v and\n%swant\n%s", strings.Join(args, " "), err, out, want)
	}
}

func TestSnapshotCommands(t *testing.T) {
	s := newShelved(t)
	dir := t.TempDir()
	file, folder := filepath.Join(dir, "views"), filepath.Join(dir, "folder")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	s.wants(file+`: 2 views of 2 partitions, \d+ bytes\n`, "save", file)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("a file that others may read: %v, %v", info.Mode(), err)
	}
	for range 3 {
		s.wants(folder+`/pinstatus-.*\.snapshot: 2 views of 2 partitions, \d+ bytes\n`, "save", folder, "--keep", "2")
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 2 {
		t.Errorf("files in the folder: %v, %v", entries, err)
	}
	s.wants(`file        `+file+`
id          [0-9a-f]{16}, format 1
size        \d+ bytes
saved       20.*
stream      created 20.*
generation  3, codec 1
views       2
  partition 0            1 views, up to sequence 2, policy 1
  partition 1            1 views, up to sequence 2, policy 1
`, "info", file)
	out, err := s.run("info", file, "--json")
	var info snapshot.Info
	if decoded := json.Unmarshal([]byte(out), &info); err != nil || decoded != nil || info.Path != file || info.Views != 2 || len(info.Partitions) != 2 {
		t.Errorf("info in JSON: %v, %v, %s", err, decoded, out)
	}

	s.publish(3)
	s.wants(`restoring generation 3 from `+file+` of 20.*:
  2 partitions \(0-1\) with views: left as they are
`, "restore", file)
	s.trim(3)
	s.redis.Do("FLUSHALL")
	s.wants(`restoring generation 3 from `+file+` of 20.*:
  2 partitions \(0-1\) without views: restored
partition 0: 1 views, up to 2; projectors go on from there to 5
partition 1: 1 views, up to 2; projectors go on from there to 5
`, "restore", file)
	for p, k := range s.keys {
		pos, values, err := s.store.Load(t.Context(), view.Generation{Number: 3, Partitions: 2}, p, []view.Key{k})
		if err != nil || pos.Sequence != 2 || pos.Refill != 5 || !cmp.Equal(values[0], new(fold.Account).Append(nil)) {
			t.Errorf("partition %d: %+v, %x, %v", p, pos, values[0], err)
		}
	}
	s.wants(`restoring generation 3 from `+folder+`/pinstatus-.*:
  2 partitions \(0-1\) with views: given up and restored
partition 0: 1 views, up to 2; projectors go on from there to 5
partition 1: 1 views, up to 2; projectors go on from there to 5
`, "restore", folder, "--replace")
	s.wants(`{"generation":{"generation":3,"partitions":2},"restore":\[\],"replace":\[0,1\],"keep":\[\],"filling":\[\],"behind":\[\]}
{"partition":0,"views":1,"position":{"seq":2,.*}}
{"partition":1,"views":1,"position":{"seq":2,.*}}
`, "restore", file, "--replace", "--json")
}

// A partition that is being filled is left to that: what it has may be on the way to more than
// the snapshot. That it has less so far must not look like a success.
func TestRestoreWhileViewsAreFilled(t *testing.T) {
	s := newShelved(t)
	file := filepath.Join(t.TempDir(), "views")
	if _, err := s.run("save", file); err != nil {
		t.Fatal(err)
	}
	s.publish(3)
	g := view.Generation{Number: 3, Partitions: 2}
	at := func(p int, sequence, target uint64) {
		t.Helper()
		pos, _, err := s.store.Load(t.Context(), g, p, nil)
		if err != nil {
			t.Fatal(err)
		}
		to := pos
		to.Sequence, to.Refill = sequence, target
		if got, err := s.store.Commit(t.Context(), &projector.Commit{Generation: g, Partition: p, From: pos, To: to}); err != nil || got != to {
			t.Fatalf("commit: %+v, %v", got, err)
		}
	}
	at(0, 1, 5)
	at(1, 3, 5)
	began := "restoring generation 3 from " + file + " of 20.*:\n"
	out, err := s.run("restore", file)
	want := `1 partition (0) not restored: a projector fills the views from the stream, and they are whole once that is done ` +
		`(see "pinstatus partitions"); --replace restores them, and all others; projectors with --snapshot-dir restore by themselves`
	if err == nil || err.Error() != want || !regexp.MustCompile("^"+began+`  1 partition \(1\) being filled, and as far as the snapshot: left to that
  1 partition \(0\) being filled, and not as far as the snapshot: left to that
$`).MatchString(out) {
		t.Errorf("%v and\n%s", err, out)
	}
	at(0, 2, 5)
	s.wants(began+`  2 partitions \(0-1\) being filled, and as far as the snapshot: left to that
`, "restore", file)
	at(0, 1, 5)
	s.wants(began+`  2 partitions \(0-1\) with views: given up and restored
partition 0: 1 views, up to 2; projectors go on from there to 5
partition 1: 1 views, up to 2; projectors go on from there to 5
`, "restore", file, "--replace")
}

func TestSnapshotCommandsRefuse(t *testing.T) {
	s := newShelved(t)
	dir := t.TempDir()
	file, damaged := filepath.Join(dir, "views"), filepath.Join(dir, "damaged")
	s.wants(`{"path":"`+file+`","id":"[0-9a-f]{16}".*}\n`, "save", file, "--json")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(damaged, data[:100], 0o600); err != nil {
		t.Fatal(err)
	}
	s.publish(3)
	s.trim(5)
	s.redis.Do("FLUSHALL")
	for _, tt := range []struct{ args, want string }{
		{"save " + dir + "/views", "snapshot " + file + ": the store has no views"},
		{"save /no/such/folder/file", "folder /no/such/folder: no such file or directory"},
		{"save " + dir + "/none/folder/", "folder " + dir + "/none/folder: no such file or directory"},
		{"save " + file + "/", "folder " + file + ": not a directory"},
		{"save " + file + "/file", "folder " + file + ": not a directory"},
		{"restore " + dir + "/none/", "folder " + dir + "/none: no such file or directory"},
		{"restore " + dir + "/none", "snapshot " + dir + "/none: no such file or directory"},
		{"save " + file + " --keep 0", "--keep: 0 is not 1 or more"},
		{"save " + file + " --config /no/such.yaml", "configuration file: stat /no/such.yaml: no such file or directory"},
		{"restore " + file, "restore: snapshot " + file + ": it leaves a gap: partition 0 is whole up to sequence 2, and the stream begins at 5"},
		{"restore " + damaged, "snapshot " + damaged + ": damaged at offset 8: a block of "},
		{"restore " + dir, dir + ": no snapshot that fits the stream"},
		{"info " + damaged, "snapshot " + damaged + ": damaged at offset 8: a block of "},
		{"info", "accepts 1 arg(s), received 0"},
	} {
		if _, err := s.run(strings.Fields(tt.args)...); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: got %v\nwant %s", tt.args, err, tt.want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder was made: %v", err)
	}
}

// A folder of snapshots that is not there is one that was not mounted: it would come to light
// only once a snapshot is needed.
func TestSnapshotFolderHasToBeThere(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pinstatus.yaml")
	if err := os.WriteFile(file, []byte(rigConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	const none, want = "/no/such/folder", "--snapshot-dir: open /no/such/folder: no such file or directory"
	for name, code := range map[string]int{"project": 1, "serve": 1, "rebuild": 1, "verify": exitCannotTell} {
		args := []string{name, "--config", file, "--nats-url", "nats://127.0.0.1:1", "--redis-url", "redis://127.0.0.1:1", "--snapshot-dir", none}
		if name == "project" || name == "serve" {
			args = append(args, "--admin-addr", "127.0.0.1:0", "--log-format", "console")
		}
		if got, out, errOut := command(t, args...); got != code || out != "" || errOut != "pinstatus: "+want+"\n" {
			t.Errorf("%s: exit code %d, %q and %q; want %d and %q", name, got, out, errOut, code, want)
		}
	}
}

func TestRanges(t *testing.T) {
	for _, tt := range []struct {
		numbers []int
		want    string
	}{{nil, ""}, {[]int{3}, "3"}, {[]int{0, 1, 2}, "0-2"}, {[]int{0, 2, 3, 7}, "0, 2-3, 7"}} {
		if got := ranges(tt.numbers); got != tt.want {
			t.Errorf("%v: got %q, want %q", tt.numbers, got, tt.want)
		}
	}
}
