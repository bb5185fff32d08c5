package consumer

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// setMetadata sets one entry of the event stream's metadata.
func setMetadata(tb testing.TB, js jetstream.JetStream, name, value string) {
	tb.Helper()
	c := config(tb, js, EventStream)
	c.Metadata[name] = value
	if _, err := js.UpdateStream(tb.Context(), c); err != nil {
		tb.Fatal(err)
	}
}

func describe(tb testing.TB, js jetstream.JetStream) Stream {
	tb.Helper()
	s, err := Describe(tb.Context(), js)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// Another number of partitions is right from behind the last stored event on.
func TestApplySetsUniform(t *testing.T) {
	t.Parallel()
	_, js := broker(t, 8)
	if s := describe(t, js); s.Uniform != 1 {
		t.Errorf("new stream: uniform from %d on, want 1", s.Uniform)
	}
	publish(t, js, 0, 100, 10)
	if err := Apply(t.Context(), js, Streams{Partitions: 16, Force: true}); err != nil {
		t.Fatal(err)
	}
	if s := describe(t, js); s.Uniform != 101 || s.Partitions != 16 {
		t.Errorf("%d partitions from %d on, want 16 from 101 on", s.Partitions, s.Uniform)
	}
	publish(t, js, 0, 10, 10)
	if err := Apply(t.Context(), js, Streams{Partitions: 16}); err != nil {
		t.Fatal(err)
	}
	if s := describe(t, js); s.Uniform != 101 {
		t.Errorf("applied again: uniform from %d on, want 101", s.Uniform)
	}
	// A stream whose transform somebody took away has its events under no partition.
	c := config(t, js, EventStream)
	c.SubjectTransform = nil
	if _, err := js.UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	publish(t, js, 0, 10, 10)
	if err := Apply(t.Context(), js, Streams{Force: true}); err != nil {
		t.Fatal(err)
	}
	if s := describe(t, js); s.Uniform != 121 || s.Partitions != 16 {
		t.Errorf("%d partitions from %d on, want 16 from 121 on", s.Partitions, s.Uniform)
	}
	a := Assignment{16, []int{0, 1, 2, 3}}
	rec := newRecorder()
	runOn(t, quick(t, js, rec), a)
	rec.at(t, 120, a.Own...)
	rec.has(t, js, a, 120)
}

// A change of the number that was cut off is found, and finished by the next Apply; what
// was stored meanwhile is read rightly.
func TestChangeOfPartitionsCutOff(t *testing.T) {
	t.Parallel()
	_, js := broker(t, 8)
	publish(t, js, 0, 100, 10)
	setMetadata(t, js, metadataUniform, strconv.FormatUint(unsettled, 10))
	var different *StreamError
	err := Check(t.Context(), js, Streams{})
	if !errors.As(err, &different) || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("check: got %v, want that the change was cut off", err)
	}
	rec := newRecorder()
	a := Assignment{8, []int{1, 2}}
	runOn(t, quick(t, js, rec), a)
	rec.at(t, 100, a.Own...)
	rec.has(t, js, a, 100)
	if err := Apply(t.Context(), js, Streams{}); err != nil {
		t.Fatal(err)
	}
	if s := describe(t, js); s.Uniform != 101 {
		t.Errorf("uniform from %d on, want 101", s.Uniform)
	}
	if err := Check(t.Context(), js, Streams{}); err != nil {
		t.Errorf("check: %v", err)
	}
}

func TestMetadataOfNonsense(t *testing.T) {
	for _, name := range []string{metadataUniform, metadataErased} {
		_, js := broker(t, 4)
		setMetadata(t, js, name, "many")
		if _, err := Describe(t.Context(), js); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v, want an error that names it", name, err)
		}
	}
}

// What erasures have announced and what an operator has accepted is not missing.
func TestMissingAndAccounted(t *testing.T) {
	_, js := broker(t, 4)
	publish(t, js, 0, 100, 10)
	stream, err := js.Stream(t.Context(), EventStream)
	if err != nil {
		t.Fatal(err)
	}
	want := func(what string, missing uint64) {
		t.Helper()
		if s := describe(t, js); s.Missing != missing || s.Trimmed != (missing > 0) {
			t.Errorf("%s: %d missing, trimmed %v, want %d", what, s.Missing, s.Trimmed, missing)
		}
	}
	remove := func(sequences ...uint64) {
		t.Helper()
		for _, n := range sequences {
			if err := stream.DeleteMsg(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}
	}
	want("whole", 0)
	if err := Account(t.Context(), js, 3); err != nil {
		t.Fatal(err)
	}
	want("announced", 0)
	remove(1, 50, 100)
	want("announced and removed", 0)
	remove(2, 51)
	want("two removed without an account", 2)
	if err := Apply(t.Context(), js, Streams{}); err != nil {
		t.Fatal(err)
	}
	want("not accepted", 2)
	if err := Apply(t.Context(), js, Streams{AcceptDeletions: true}); err != nil {
		t.Fatal(err)
	}
	want("accepted", 0)
	if got := config(t, js, EventStream).Metadata[metadataErased]; got != "5" {
		t.Errorf("%s is %s, want 5", metadataErased, got)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	want("purged", 95)
	if err := Apply(t.Context(), js, Streams{AcceptDeletions: true}); err != nil {
		t.Fatal(err)
	}
	want("purge accepted", 0)
	s, err := Describe(t.Context(), js)
	if err != nil || s.Accepted != 97 || s.Trimmed { // three more were announced
		t.Errorf("%+v, %v; want 97 accepted", s, err)
	}
}

// Messages that go while the stream is read are an alarm, and none to stop at.
func TestMessagesGoWhileReading(t *testing.T) {
	t.Parallel()
	_, js := broker(t, 4)
	publish(t, js, 0, 100, 10)
	stream, err := js.Stream(t.Context(), EventStream)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(t.Context(), 7); err != nil { // before: the handler's to judge
		t.Fatal(err)
	}
	rec := newRecorder()
	c, _ := run(t, quick(t, js, rec))
	rec.reached(t, 100)
	if err := c.Ready(); err != nil {
		t.Errorf("ready: %v", err)
	}
	for _, n := range []uint64{20, 30} {
		if err := stream.DeleteMsg(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the alarm", func() bool {
		err := c.Ready()
		return err != nil && strings.HasPrefix(err.Error(), "messages (2) have gone")
	})
	if got := testutil.ToFloat64(c.metrics.missing); got != 3 {
		t.Errorf("missing messages: got %v, want 3", got)
	}
	publish(t, js, 100, 100, 10)
	rec.reached(t, 200)
	rec.mu.Lock()
	if len(rec.opened) != 1 {
		t.Errorf("opened %d times, want once", len(rec.opened))
	}
	rec.mu.Unlock()
	if err := Apply(t.Context(), js, Streams{AcceptDeletions: true}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of the alarm", func() bool { return c.Ready() == nil })
}
