package audit_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/consumer/letters"
	"github.com/pinstatus/pinstatus/consumer/processed"
	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/audit"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/rig"
	"github.com/pinstatus/pinstatus/projector/view"
)

const late = "late" // a tenant that is configured after its first events have come

// latecomer is a system whose projector has come to know a tenant whose first events are dead
// letters.
type latecomer struct {
	*fixture
	policy  *fold.Policy
	ids     []string
	letters []uint64 // of these
}

func newLatecomer(t *testing.T, events int) *latecomer {
	t.Helper()
	r := rig.New(t, partitions)
	l := r.Project("one", rig.Policy(1, 3))
	r.Traffic.Publish(500)
	f := &latecomer{fixture: &fixture{Rig: r, keys: view.NewKeyspace("", 1, partitions)}, policy: rig.Policy(2, 3)}
	f.policy.Tenants[late] = f.policy.Tenants[rig.Tenant]
	for i := range events {
		id := fmt.Sprint("latecomer ", i)
		f.ids = append(f.ids, id)
		f.letters = append(f.letters, f.publish(id, "first", nil))
	}
	r.Settle()
	l.SetPolicy(f.policy)
	f.publish("somebody else", "first", nil)
	r.Settle()
	return f
}

// publish publishes that an account has a PIN.
func (f *latecomer) publish(id, eventID string, header nats.Header) uint64 {
	f.TB.Helper()
	e := event.Event{
		Type: event.PINSet, ID: eventID, Source: "gw", Tenant: late, Key: id, Time: time.Now().UnixNano(), PINType: "Parental",
		DurationSeconds: event.Absent, AttemptsRemaining: event.Absent,
	}
	ack, err := f.JS.PublishMsg(f.TB.Context(), &nats.Msg{Subject: e.Subject(), Header: header, Data: e.AppendStructured(nil)})
	if err != nil {
		f.TB.Fatal(err)
	}
	return ack.Sequence
}

// Position makes it the positions that a replay waits for.
func (f *latecomer) Position(ctx context.Context, subject string) (uint64, error) {
	pos, _, err := f.Store.Load(ctx, view.Generation{Number: 1, Partitions: partitions}, processed.Partition(subject, partitions), nil)
	return pos.Sequence, err
}

func (f *latecomer) replay(sequences ...uint64) {
	f.TB.Helper()
	if len(sequences) == 0 { // that would be all
		return
	}
	r, err := letters.NewReplayer(letters.ReplayOptions{JetStream: f.JS, Positions: f, Wait: time.Minute})
	if err == nil {
		err = r.Replay(f.TB.Context(), &letters.Filter{Sequences: sequences}, 1<<40, func(r *letters.Result) error {
			if r.Outcome != letters.Accepted || !r.Gone {
				f.TB.Errorf("letter %d: %s, %v", r.Letter.Sequence, r.Outcome, r.Err)
			}
			return nil
		})
	}
	if err != nil {
		f.TB.Fatal(err)
	}
}

func (f *latecomer) audit(o *audit.Options) { o.Policy = f.policy }

func (f *latecomer) key(id string) view.Key {
	return view.Key{Kind: view.KindAccount, Tenant: late, ID: id}
}

// Events that were dead letters when they came are not missing in the views, whether they have
// been replayed since or not. What differs for another reason differs.
func TestRefusedThen(t *testing.T) {
	const events = 40
	f := newLatecomer(t, events)
	for _, replayed := range []int{0, events / 2, events} {
		f.replay(f.letters[:replayed]...)
		f.Settle()
		for _, memory := range []int64{0, 5_000} {
			report := mustBeEqual(f.Rig, f.audit, func(o *audit.Options) { o.Memory = memory })
			if report.Refused != events || len(report.Notes) == 0 || !strings.Contains(report.Notes[len(report.Notes)-1], "replayed: 40. ") {
				t.Errorf("%d replayed: report %+v, want %d of them told", replayed, report, events)
			}
		}
	}

	// More of the same accounts: the state goes on from there.
	for _, id := range f.ids {
		f.publish(id, "second", nil)
	}
	f.Settle()
	if report := mustBeEqual(f.Rig, f.audit); report.Refused != events {
		t.Errorf("report %+v, want %d", report, events)
	}

	f.del(f.name(f.key(f.ids[7])))
	report, differences := run(f.Rig, f.audit)
	if len(differences) != 1 || differences[0].ID != f.ids[7] || differences[0].Problem != audit.Missing || report.Refused != events-1 {
		t.Errorf("differences %v, report %+v; want the one that is lost", differences, report)
	}
}

// That an event says of itself that it stands for another one explains nothing by itself.
func TestRefusedThenIsNotBelievedOfAnybody(t *testing.T) {
	f := newLatecomer(t, 0)
	lost := f.publish("lost", "first", nil)
	f.publish("lost", "second", nats.Header{letters.HeaderReplayOf: {fmt.Sprint(lost)}}) // another event
	f.Settle()
	mustBeEqual(f.Rig, f.audit)

	// A store that has taken the second event alone.
	stream, err := f.JS.Stream(t.Context(), consumer.EventStream)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := stream.GetMsg(t.Context(), lost+1)
	if err != nil {
		t.Fatal(err)
	}
	k := f.key("lost")
	m := consumer.Message{Sequence: lost + 1, Received: raw.Time.UnixNano()}
	if err := event.Decode(event.Subject(event.FamilyAccount, late, k.ID), nil, raw.Data, &m.Event); err != nil {
		t.Fatal(err)
	}
	value, err := projector.Apply(k, nil, []consumer.Message{m}, f.policy)
	if err != nil {
		t.Fatal(err)
	}
	f.set(k, value)

	report, differences := run(f.Rig, f.audit)
	if len(differences) != 1 || differences[0].ID != k.ID || report.Differences != 1 || report.Refused != 0 {
		t.Errorf("differences %v, report %+v; want the view that lacks an event", differences, report)
	}
}
