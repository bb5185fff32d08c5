package consumer

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// meddled is a JetStream in which somebody else changes the stream between two steps.
type meddled struct {
	jetstream.JetStream
	updates int
	after   map[int]func() // by the number of the update that it follows
}

func (m *meddled) UpdateStream(ctx context.Context, c jetstream.StreamConfig) (jetstream.Stream, error) {
	s, err := m.JetStream.UpdateStream(ctx, c)
	m.updates++
	if after := m.after[m.updates]; after != nil {
		after()
	}
	return s, err
}

func setUnsettled(tb testing.TB, js jetstream.JetStream) {
	tb.Helper()
	setMetadata(tb, js, metadataUniform, strconv.FormatUint(unsettled, 10))
}

// Whoever wrote the stream back to what it was before a step of the change does not undo the
// change, and what it accounted for meanwhile stands.
func TestRespreadAgainstAnotherWriter(t *testing.T) {
	t.Parallel()
	for step := range 4 {
		t.Run("after step "+strconv.Itoa(step), func(t *testing.T) {
			t.Parallel()
			_, js := broker(t, 8)
			publish(t, js, 0, 50, 10)
			before := withMetadata(config(t, js, EventStream), metadataErased, 4)
			m := &meddled{JetStream: js, after: map[int]func(){step: func() {
				if _, err := js.UpdateStream(t.Context(), before); err != nil {
					t.Error(err)
				}
			}}}
			if err := Apply(t.Context(), m, Streams{Partitions: 12, Force: true}); err != nil {
				t.Fatal(err)
			}
			if s := describe(t, js); s.Partitions != 12 || s.Uniform != 51 {
				t.Errorf("%d partitions from %d on, want 12 from 51 on", s.Partitions, s.Uniform)
			}
			if got := config(t, js, EventStream).Metadata[metadataErased]; step > 0 && got != "4" {
				t.Errorf("%s is %q, want 4", metadataErased, got)
			}
		})
	}
}

func TestRespreadGivesUp(t *testing.T) {
	_, js := broker(t, 8)
	before := config(t, js, EventStream)
	m := &meddled{JetStream: js, after: map[int]func(){}}
	for n := range 100 {
		m.after[n] = func() {
			if _, err := js.UpdateStream(t.Context(), before); err != nil {
				t.Error(err)
			}
		}
	}
	if err := Apply(t.Context(), m, Streams{Partitions: 12, Force: true}); !errors.Is(err, errConcurrent) {
		t.Errorf("apply: got %v, want %v", err, errConcurrent)
	}
}

// An account is a change of the whole stream: it must not undo a change of its partitions.
func TestAccountAgainstAChangeOfPartitions(t *testing.T) {
	_, js := broker(t, 8)
	publish(t, js, 0, 50, 10)
	for _, tt := range []struct {
		name  string
		after func()
	}{
		{"accounted", func() { setMetadata(t, js, metadataErased, "17") }},
		{"unsettled", func() { setUnsettled(t, js) }},
		{"transform", func() {
			c := config(t, js, EventStream)
			c.SubjectTransform = partitionTransform(12)
			if _, err := js.UpdateStream(t.Context(), c); err != nil {
				t.Error(err)
			}
		}},
	} {
		setMetadata(t, js, metadataUniform, "1")
		m := &meddled{JetStream: js, after: map[int]func(){1: tt.after}}
		if err := Account(t.Context(), m, 1); !errors.Is(err, errConcurrent) {
			t.Errorf("%s: got %v, want %v", tt.name, err, errConcurrent)
		}
	}
	setUnsettled(t, js)
	before := config(t, js, EventStream)
	if err := Account(t.Context(), js, 1); !errors.Is(err, errUnsettled) {
		t.Errorf("while unsettled: got %v, want %v", err, errUnsettled)
	}
	if got, want := config(t, js, EventStream).Metadata[metadataErased], before.Metadata[metadataErased]; got != want {
		t.Errorf("%s is %q after a refusal, want %q", metadataErased, got, want)
	}
}

// Lanes that are opened while the number of partitions is being changed read everything, and
// go back to their filters when the change is finished.
func TestLanesAcrossAnUnsettledChange(t *testing.T) {
	t.Parallel()
	_, js := broker(t, 4)
	publish(t, js, 0, 100, 50)
	rec := newRecorder()
	o := quick(t, js, rec)
	o.refilter, o.joinAfter = 200*time.Millisecond, time.Hour
	a := Assignment{4, []int{1, 2}}
	runOn(t, o, a)
	rec.at(t, 100, a.Own...)
	readBy(t, js, "pinstatus.p.1.>", "pinstatus.p.2.>")
	setUnsettled(t, js)
	readBy(t, js, "", "")
	if err := Apply(t.Context(), js, Streams{Partitions: 4}); err != nil {
		t.Fatal(err)
	}
	publish(t, js, 100, 100, 50)
	rec.at(t, 200, a.Own...)
	readBy(t, js, "pinstatus.p.1.>", "pinstatus.p.2.>")
	rec.has(t, js, a, 200)
}
