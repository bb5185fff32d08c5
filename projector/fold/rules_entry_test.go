package fold_test

import (
	"slices"
	"strconv"
	"testing"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/view"
)

// D1: an entry's status is that of its greatest event by (stage, effective time, position
// in the list, source, id).
func TestD1Status(t *testing.T) {
	for _, tt := range []struct {
		name   string
		events []told
		want   event.Status
		at     float64
	}{
		{
			"D1: a later stage wins over a later time",
			[]told{sms(0, "m1", event.MessageAccepted), sms(4, "m1", event.MessageDelivered), sms(9, "m1", event.MessageWaitingDelivery)},
			event.MessageDelivered, 4,
		},
		{
			"D1: of one stage the later time wins",
			[]told{sms(3, "m1", event.MessageDelivered), sms(4, "m1", event.MessageExpired)},
			event.MessageExpired, 4,
		},
		{
			"D1: of one stage and time the later position in the list wins",
			[]told{sms(4, "m1", event.MessageDelivered), sms(4, "m1", event.SystemError)},
			event.MessageDelivered, 4,
		},
		{
			"D1: the same status again is since its latest time",
			[]told{sms(4, "m1", event.MessageDelivered), sms(6, "m1", event.MessageDelivered)},
			event.MessageDelivered, 6,
		},
		{
			"D1: an accepted message is final in the list and still overtaken",
			[]told{sms(9, "m1", event.MessageAccepted), sms(4, "m1", event.MessageWaitingDelivery)},
			event.MessageWaitingDelivery, 4,
		},
		{
			"D1: unknown is overtaken by what is known, whenever",
			[]told{sms(9, "m1", event.MessageDeliveryUnknown), sms(4, "m1", event.MessageRejected)},
			event.MessageRejected, 4,
		},
		{
			"D1: a call's stages are those of its own list",
			[]told{call(9, "c1", event.CallProcessing), call(4, "c1", event.CallErrorUserBusy), call(10, "c1", event.CallUndefined)},
			event.CallErrorUserBusy, 4,
		},
		{
			"D1: of two ends of a call at one time the later in the list wins",
			[]told{call(4, "c1", event.CallProcessed), call(4, "c1", event.CallAnsweredMachine)},
			event.CallProcessed, 4,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for order, in := range orders(tt.events) {
				entries := foldCode(in, policy()).View().Entries
				if len(entries) != 1 {
					t.Fatalf("%s: %d entries, want 1", order, len(entries))
				}
				if got := entries[0]; got.Status != tt.want || got.ChangedAt != at(tt.at) {
					t.Errorf("%s: %v since %v, want %v since %v", order, got.Status, since(got.ChangedAt), tt.want, since(at(tt.at)))
				}
			}
		})
	}
}

// Gateway, network, to, price and the error are each taken from the greatest event by D1
// that carries it.
func TestD1Members(t *testing.T) {
	gateway := func(name string) option { return with(func(e *event.Event) { e.Gateway = name }) }
	failure := func(code, text string) option {
		return with(func(e *event.Event) { e.ErrorCode, e.ErrorText = code, text })
	}
	for _, tt := range []struct {
		name   string
		events []told
		want   view.Entry // but for its status and times
	}{
		{
			"D1: of one status and time the greater source wins over the greater id",
			[]told{
				sms(4, "m1", event.MessageDelivered, identified("/gateway/2", "a"), gateway("second")),
				sms(4, "m1", event.MessageDelivered, identified("/gateway/1", "b"), gateway("first")),
			},
			view.Entry{Gateway: "second"},
		},
		{
			"D1: of one status, time and source the greater id wins",
			[]told{
				sms(4, "m1", event.MessageDelivered, identified("/gateway/1", "b"), gateway("second")),
				sms(4, "m1", event.MessageDelivered, identified("/gateway/1", "a"), gateway("first")),
			},
			view.Entry{Gateway: "second"},
		},
		{
			"D1: what the greatest event does not carry is of a smaller one",
			[]told{
				sms(0, "m1", event.MessageAccepted, with(func(e *event.Event) { e.To, e.Gateway = "41793026727", "sms-eu-1" })),
				sms(2, "m1", event.MessageWaitingDelivery, with(func(e *event.Event) { e.Price = event.Price{Amount: "0.045", Currency: "EUR"} })),
				sms(4, "m1", event.MessageDelivered, with(func(e *event.Event) { e.Network, e.Gateway = "22801", "sms-eu-2" })),
				sms(9, "m1", event.MessageAccepted, with(func(e *event.Event) { e.Network, e.Gateway = "26201", "sms-eu-3" })),
			},
			view.Entry{
				To: "********727", Network: "22801", Gateway: "sms-eu-2", Price: event.Price{Amount: "0.045", Currency: "EUR"},
			},
		},
		{
			"D1: an error's code and text are of one event",
			[]told{
				sms(4, "m1", event.MessageExpired, failure("EC_2", "")),
				sms(9, "m1", event.MessageWaitingDelivery, failure("EC_1", "absent subscriber")),
			},
			view.Entry{ErrorCode: "EC_2"},
		},
		{
			"D1: a price's amount and currency are of one event",
			[]told{
				sms(4, "m1", event.MessageDelivered, with(func(e *event.Event) { e.Price = event.Price{Amount: "2"} })),
				sms(9, "m1", event.MessageAccepted, with(func(e *event.Event) { e.Price = event.Price{Amount: "1", Currency: "EUR"} })),
			},
			view.Entry{Price: event.Price{Amount: "2"}},
		},
		{
			"of to only the last three digits are kept",
			[]told{sms(0, "m1", event.MessageAccepted, with(func(e *event.Event) { e.To = "48123456026" }))},
			view.Entry{To: "********026"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for order, in := range orders(tt.events) {
				got := foldCode(in, policy()).View().Entries[0]
				want := tt.want
				want.Channel, want.ID, want.Status = got.Channel, got.ID, got.Status
				want.FirstAt, want.ChangedAt, want.Timeline = got.FirstAt, got.ChangedAt, got.Timeline
				if d := diff(want, got); d != "" {
					t.Errorf("%s (-want +got):\n%s", order, d)
				}
			}
		})
	}
}

// D2: entries are answered in the order of their earliest event's effective time, then
// channel (sms before voice), then id.
func TestD2Order(t *testing.T) {
	for _, tt := range []struct {
		name   string
		events []told
		want   []string
	}{
		{
			"D2: by the earliest event, not by the greatest or the first received",
			[]told{
				sms(3, "m1", event.MessageAccepted), sms(2, "m2", event.MessageAccepted),
				sms(9, "m2", event.MessageDelivered), sms(4, "m1", event.MessageDelivered),
				sms(1, "m1", event.MessageNotSent),
			},
			[]string{"sms m1", "sms m2"},
		},
		{
			"D2: of one time sms before voice, whatever the ids",
			[]told{call(0, "a", event.CallProcessing), sms(0, "b", event.MessageAccepted)},
			[]string{"sms b", "voice a"},
		},
		{
			"D2: of one time and channel by id",
			[]told{sms(0, "m2", event.MessageAccepted), sms(0, "m10", event.MessageAccepted), sms(0, "m1", event.MessageAccepted)},
			[]string{"sms m1", "sms m10", "sms m2"},
		},
		{
			"a message and a call of one id are two entries",
			[]told{call(0, "x", event.CallProcessing), sms(1, "x", event.MessageAccepted)},
			[]string{"voice x", "sms x"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for order, in := range orders(tt.events) {
				var got []string
				for _, e := range foldCode(in, policy()).View().Entries {
					got = append(got, e.Channel.String()+" "+e.ID)
				}
				if d := diff(tt.want, got); d != "" {
					t.Errorf("%s (-want +got):\n%s", order, d)
				}
			}
		})
	}
}

// D3: every distinct (status, time) seen, oldest first, at most 32 (the first, and the
// newest 31).
func TestD3Timeline(t *testing.T) {
	const accepted, waiting = event.MessageAccepted, event.MessageWaitingDelivery
	reports := func(n int) (events []told) {
		for i := range n {
			events = append(events, sms(float64(i), "m1", accepted))
		}
		return events
	}
	changes := func(seconds ...int) (all []view.Change) {
		for _, s := range seconds {
			all = append(all, view.Change{Status: accepted, At: at(float64(s))})
		}
		return all
	}
	upTo := func(first, last int) (all []int) {
		for i := first; i <= last; i++ {
			all = append(all, i)
		}
		return all
	}
	for _, tt := range []struct {
		name   string
		events []told
		want   []view.Change
	}{
		{
			"D3: oldest first, whatever the stage",
			[]told{sms(4, "m1", waiting), sms(9, "m1", accepted), sms(1, "m1", event.MessageDelivered)},
			[]view.Change{{Status: event.MessageDelivered, At: at(1)}, {Status: waiting, At: at(4)}, {Status: accepted, At: at(9)}},
		},
		{
			"D3: of one time in the order of the list",
			[]told{sms(4, "m1", waiting), sms(4, "m1", accepted)},
			[]view.Change{{Status: accepted, At: at(4)}, {Status: waiting, At: at(4)}},
		},
		{
			"D3: one status at two times stands twice",
			[]told{sms(1, "m1", accepted), sms(4, "m1", accepted)},
			changes(1, 4),
		},
		{
			"D3: one status at one time stands once, whoever says it",
			[]told{sms(1, "m1", accepted), sms(1, "m1", accepted)},
			changes(1),
		},
		{"D3: 32 are kept", reports(32), changes(upTo(0, 31)...)},
		{"D3: of more the first and the newest 31", reports(40), changes(append([]int{0}, upTo(9, 39)...)...)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for order, in := range orders(tt.events) {
				got := foldCode(in, policy()).View().Entries[0]
				if d := diff(tt.want, got.Timeline); d != "" {
					t.Errorf("%s (-want +got):\n%s", order, d)
				}
				if got.FirstAt != tt.want[0].At {
					t.Errorf("%s: first at %v, want %v", order, since(got.FirstAt), since(tt.want[0].At))
				}
			}
		})
	}
}

// One entry per message and per call, at most 100 (the hundred first in the stream; more:
// dead letter too-many-entries).
func TestHundredEntries(t *testing.T) {
	var events []told
	for i := range 50 {
		events = append(events, sms(10, strconv.Itoa(i), event.MessageAccepted), call(10, strconv.Itoa(i), event.CallProcessing))
	}
	events = append(
		events,
		sms(1, "older than all", event.MessageDelivered), // the stream's order decides, not the time
		call(11, "49", event.CallProcessed),              // one of the hundred
		sms(12, "newer than all", event.MessageDelivered),
	)
	c, outcomes := codeOf(t, events...)
	want := append(slices.Repeat([]fold.Outcome{fold.Applied}, 100), fold.DeadTooManyEntries, fold.Applied, fold.DeadTooManyEntries)
	if d := diff(want, outcomes); d != "" {
		t.Errorf("outcomes (-want +got):\n%s", d)
	}
	if got, want := outcomes[100].Rejected(), event.ReasonTooManyEntries; got != want {
		t.Errorf("reason %q, want %q", got, want)
	}
	got := c.View()
	if len(got.Entries) != 100 {
		t.Errorf("%d entries, want 100", len(got.Entries))
	}
	if got.Sequence != 102 {
		t.Errorf("sequence %d, want 102: a dead letter changes nothing", got.Sequence)
	}
}
