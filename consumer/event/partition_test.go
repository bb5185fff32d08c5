package event_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// startBroker runs a real server with JetStream for the test.
func startBroker(t testing.TB) jetstream.JetStream {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server is not ready")
	}
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func createStream(t testing.TB, js jetstream.JetStream, partitions int) jetstream.Stream {
	t.Helper()
	s, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name:     fmt.Sprintf("P%d", partitions),
		Subjects: []string{event.SubjectPrefix + ".>"},
		Storage:  jetstream.MemoryStorage,
		SubjectTransform: &jetstream.SubjectTransformConfig{
			Source:      event.SubjectPrefix + ".*.*.*",
			Destination: fmt.Sprintf("pinstatus.p.{{partition(%d,2,3)}}.{{wildcard(1)}}.{{wildcard(2)}}.{{wildcard(3)}}", partitions),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The subjects are wanted again by the next stream; the test's own context has ended.
		if err := js.DeleteStream(context.WithoutCancel(t.Context()), s.CachedInfo().Config.Name); err != nil {
			t.Error(err)
		}
	})
	return s
}

func randomTenant(r *rand.Rand) string {
	const first, rest = "abcdefghijklmnopqrstuvwxyz0123456789", "abcdefghijklmnopqrstuvwxyz0123456789-"
	b := []byte{first[r.IntN(len(first))]}
	for range r.IntN(12) {
		b = append(b, rest[r.IntN(len(rest))])
	}
	return string(b)
}

func randomID(r *rand.Rand) string {
	alphabet := []rune("abcXYZ019_-.*>% /|~$#\"\\{}:,+=é漢😀\u00a0\u2028")
	id := make([]rune, 1+r.IntN(20))
	for i := range id {
		id[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(id)
}

// Every message must lie where Partition says, or its view is looked for in the wrong place.
func TestPartitionIsTheBrokers(t *testing.T) {
	js := startBroker(t)
	for _, partitions := range []int{1, 2, 7, 16, 64, 1000} {
		t.Run(strconv.Itoa(partitions), func(t *testing.T) {
			stream := createStream(t, js, partitions)
			r := rand.New(rand.NewPCG(1, uint64(partitions)))
			ids := []string{".", "*", ">", "%", "a.b", "*.>", "%2E", "2B67", "é", "漢字", "😀", "a b", "x\ty", "_", "-", "+48 123"}
			for len(ids) < 300 {
				ids = append(ids, randomID(r))
			}
			used := map[int]bool{}
			for i, id := range ids {
				family := event.Family(1 + i%5)
				tenant := randomTenant(r)
				subject := event.Subject(family, tenant, id)
				p := event.Partition(tenant, event.EscapeToken(id), partitions)
				want := fmt.Sprintf("pinstatus.p.%d.%s.%s.%s", p, family, tenant, event.EscapeToken(id))
				if got := store(t, js, stream, subject); got != want {
					t.Errorf("id %q of tenant %q: stored as %q, want %q", id, tenant, got, want)
				}
				used[p] = true
			}
			if want := min(partitions, 60); len(used) < want {
				t.Errorf("only %d partitions used, want at least %d", len(used), want)
			}
		})
	}
}

// Subjects that are no event's still reach the stream, and lie there outside every
// partition: who reads by partition never sees them.
func TestBrokerStoresOtherSubjectsUntransformed(t *testing.T) {
	js := startBroker(t)
	stream := createStream(t, js, 16)
	for _, subject := range []string{
		"pinstatus.events.sms",
		"pinstatus.events.sms.acme",
		"pinstatus.events.sms.acme.2B67.x",
		"pinstatus.events.sms.acme.2B67.x.y",
		"pinstatus.events.sms.acme.*",
		"pinstatus.events.sms.acme.>",
		"pinstatus.events.*.acme.2B67",
	} {
		if got := store(t, js, stream, subject); got != subject {
			t.Errorf("%q is stored as %q, want it as it is", subject, got)
		}
		if _, err := event.ParseSubject(subject); err == nil {
			t.Errorf("ParseSubject takes %q", subject)
		}
	}
}

// A key that is spelt otherwise than EscapeToken does has a partition all the same.
func TestBrokerPartitionsAnySpelling(t *testing.T) {
	js := startBroker(t)
	stream := createStream(t, js, 16)
	for _, key := range []string{"%zz", "%2e", "a%41", "%", "a/b", "é"} {
		want := fmt.Sprintf("pinstatus.p.%d.sms.acme.%s", event.Partition("acme", key, 16), key)
		if got := store(t, js, stream, "pinstatus.events.sms.acme."+key); got != want {
			t.Errorf("key %q: stored as %q, want %q", key, got, want)
		}
	}
}

// store publishes an empty message and returns the subject that it is stored under.
func store(t testing.TB, js jetstream.JetStream, s jetstream.Stream, subject string) string {
	t.Helper()
	ack, err := js.Publish(t.Context(), subject, nil)
	if err != nil {
		t.Fatalf("publish %q: %v", subject, err)
	}
	msg, err := s.GetMsg(t.Context(), ack.Sequence)
	if err != nil {
		t.Fatal(err)
	}
	return msg.Subject
}
