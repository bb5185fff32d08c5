package main

import (
	"encoding/json"
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
	js    jetstream.JetStream
	redis *redistest.Server
	store *redisstore.Store
	flags []string
	keys  [2]view.Key
}

func newShelved(t *testing.T) *shelved {
	server, redis := natstest.Start(t), redistest.Start(t)
	s := &shelved{t: t, js: server.JetStream(), redis: redis, flags: []string{"--nats-url", server.URL(), "--redis-url", redis.URL}}
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
	s.wants(`{"generation":{"generation":3,"partitions":2},"restore":\[\],"replace":\[0,1\],"keep":\[\]}
{"partition":0,"views":1,"position":{"seq":2,.*}}
{"partition":1,"views":1,"position":{"seq":2,.*}}
`, "restore", file, "--replace", "--json")
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
		{"save /no/such/folder/file", "snapshot /no/such/folder/file: stat /no/such/folder: no such file or directory"},
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
