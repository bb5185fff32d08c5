package consumer

import (
	"testing"

	"github.com/nats-io/nats.go"
)

// A reader of one partition takes from a heartbeat how far the consumer has looked, and only
// from one that fits what came.
func TestHeartbeatsProveIdlePartitions(t *testing.T) {
	const stored = "pinstatus.p.0.sms.acme.k"
	heartbeat := func(consumer, stream string) *nats.Msg {
		return &nats.Msg{Subject: "_INBOX.1", Header: nats.Header{
			"Status": {"100"}, "Nats-Last-Consumer": {consumer}, "Nats-Last-Stream": {stream},
		}}
	}
	tests := []struct {
		name     string
		filtered bool
		to       uint64
		messages []*nats.Msg
		want     uint64 // the place
		reason   string
	}{
		{"message", true, 0, []*nats.Msg{delivered(stored, 9, 1)}, 9, ""},
		{"nothing yet", true, 0, []*nats.Msg{heartbeat("0", "4")}, 4, ""},
		{"looked on", true, 0, []*nats.Msg{heartbeat("0", "70")}, 70, ""},
		{"behind a message", true, 0, []*nats.Msg{delivered(stored, 9, 1), heartbeat("1", "70")}, 70, ""},
		{"goes back", true, 0, []*nats.Msg{delivered(stored, 9, 1), heartbeat("1", "8")}, 9, ""},
		{"a message on its way", true, 0, []*nats.Msg{delivered(stored, 9, 1), heartbeat("2", "70")}, 9, reasonGap},
		{"no place", true, 0, []*nats.Msg{heartbeat("0", "")}, 4, ""},
		{"nonsense", true, 0, []*nats.Msg{heartbeat("0", "-1")}, 4, ""},
		{"message that the consumer has passed", true, 0, []*nats.Msg{heartbeat("0", "70"), delivered(stored, 60, 1)}, 70, reasonGap},
		{"without a filter", false, 0, []*nats.Msg{heartbeat("0", "70")}, 4, ""},
		{"end of a range", false, 50, []*nats.Msg{heartbeat("0", "70")}, 50, ""},
		{"message beyond a range", false, 50, []*nats.Msg{delivered(stored, 51, 1)}, 50, ""},
		{"short of a range's end", true, 50, []*nats.Msg{heartbeat("0", "49")}, 49, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := Stream{Partitions: 2, First: 1, Uniform: 1, Last: Mark{Sequence: 1000}}
			r := &reader{
				inbox: "_INBOX.1", next: 5, batch: pullMessages, outstanding: 2 * pullMessages, filtered: tt.filtered, to: tt.to,
				stream: s, spread: newSpread(s, 2), from: []uint64{4, 4}, queues: []*queue{newQueue(10, 1000), nil},
			}
			r.place.store(mark{Mark{Sequence: 4}, true})
			reason := ""
			r.fail = func(err error) { reason = reasonOf(err) }
			for _, m := range tt.messages {
				r.take(t.Context(), m)
			}
			if got := r.place.load().Sequence; got != tt.want || reason != tt.reason {
				t.Errorf("place %d, restart %q, want %d, %q", got, reason, tt.want, tt.reason)
			}
		})
	}
}

// What a filter cannot show, the stream's state has to.
func TestGuard(t *testing.T) {
	_, js := broker(t, 4)
	publish(t, js, 0, 100, 50)
	a := &api{js: js, stream: EventStream}
	s := describe(t, js)
	stream, err := js.Stream(t.Context(), EventStream)
	if err != nil {
		t.Fatal(err)
	}
	guards := map[string]*guard{}
	for _, name := range []string{"lane", "zero", "range"} {
		guards[name] = &guard{api: a, states: &states{api: a}, stream: s, lasting: name != "range", partition: 2}
	}
	guards["zero"].partition = 0
	vouch := func(what, name string, checked, through uint64, want string) {
		t.Helper()
		g := *guards[name]
		g.checked = checked
		reason, err := "", g.vouch(t.Context(), through)
		if err != nil {
			reason = reasonOf(err)
		}
		if reason != want || err == nil && g.checked != through {
			t.Errorf("%s, %s: got %v, checked %d, want %q", what, name, err, g.checked, want)
		}
	}
	for name := range guards {
		vouch("untouched", name, 0, 100, "")
	}
	vouch("beyond the stream", "lane", 0, 101, reasonStream)

	publishRaw(t, js, &nats.Msg{Subject: "pinstatus.events.odd"})
	vouch("odd message", "lane", 100, 101, "")
	vouch("odd message", "range", 100, 101, "")
	vouch("odd message", "zero", 100, 101, reasonUntransformed)
	vouch("odd message passed", "zero", 101, 101, "")

	if err := Account(t.Context(), js, 2); err != nil {
		t.Fatal(err)
	}
	for n := uint64(1); n <= 2; n++ {
		if err := stream.DeleteMsg(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	vouch("erased", "lane", 0, 50, "")
	if err := stream.DeleteMsg(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	vouch("lost", "lane", 0, 50, reasonRetention)
	vouch("lost", "range", 0, 50, reasonRetention)
	vouch("lost behind the place", "lane", 3, 50, "")

	setMetadata(t, js, metadataUniform, "50")
	vouch("partitions change", "lane", 10, 50, reasonStream)
	vouch("partitions change", "range", 10, 50, "")
	if err := js.DeleteStream(t.Context(), EventStream); err != nil {
		t.Fatal(err)
	}
	vouch("no stream", "lane", 10, 50, reasonStreamInfo)
	if _, err := a.filter(t.Context(), s, 4, 0, 0); err == nil {
		t.Error("a filter for partition 0 without asking the stream")
	}
}
