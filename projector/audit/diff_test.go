package audit

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/view"
)

const noon = int64(1_795_255_200_000_000_000) // 2026-11-21T10:00:00Z

// code folds events of a PIN code, one a minute from noon on.
func code(t *testing.T, events ...event.Event) *fold.Code {
	t.Helper()
	c, err := fold.ParseCode(nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range events {
		at := noon + int64(i)*int64(time.Minute)
		if e.Time == 0 {
			e.Time = at
		}
		in := fold.Input{Event: &e, Sequence: uint64(i + 1), Received: at}
		c.Fold(in, &fold.Tenant{MaxClockSkew: time.Second, CodeRetention: 2*time.Minute + time.Second})
	}
	return c
}

func report(id string, at int64) event.Event {
	return event.Event{
		Type: event.SMSStatus, Source: "s", ID: id, Time: at, Key: "k", Tenant: "acme", EntryID: "m." + id,
		Status: event.MessageDelivered, AttemptsRemaining: event.Absent, Price: event.Price{Amount: "1.50", Currency: "EUR"},
	}
}

func TestFieldsAreReadable(t *testing.T) {
	k := view.Key{Kind: view.KindPIN, Tenant: "acme", ID: "k"}
	want := code(t, report("1", noon)).Append(nil)
	got := code(t, report("2", noon)).Append(nil)
	verdict, d := compare(k, want, got, noon, 0, false)
	if verdict != different {
		t.Fatalf("verdict %d, want different", verdict)
	}
	d.locate(k, 3, 17)
	wantText := `pin k of tenant acme (partition 3, position 17) differs
  - Entries[sms m.1].Channel: sms
  - Entries[sms m.1].ID: m.1
  - Entries[sms m.1].Status: MESSAGE_DELIVERED
  - Entries[sms m.1].FirstAt: 2026-11-21T10:00:00Z
  - Entries[sms m.1].ChangedAt: 2026-11-21T10:00:00Z
  - Entries[sms m.1].Timeline[0].Status: MESSAGE_DELIVERED
  - Entries[sms m.1].Timeline[0].At: 2026-11-21T10:00:00Z
  - Entries[sms m.1].Price.Amount: 1.50
  - Entries[sms m.1].Price.Currency: EUR
  + Entries[sms m.2].Channel: sms
  + Entries[sms m.2].ID: m.2
  + Entries[sms m.2].Status: MESSAGE_DELIVERED
  + Entries[sms m.2].FirstAt: 2026-11-21T10:00:00Z
  + Entries[sms m.2].ChangedAt: 2026-11-21T10:00:00Z
  + Entries[sms m.2].Timeline[0].Status: MESSAGE_DELIVERED
  + Entries[sms m.2].Timeline[0].At: 2026-11-21T10:00:00Z
  + Entries[sms m.2].Price.Amount: 1.50
  + Entries[sms m.2].Price.Currency: EUR
`
	if diff := cmp.Diff(wantText, d.String()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// A task is split until one key in so many is left, and its parts hold every key once.
func TestSplit(t *testing.T) {
	tasks := []task{{partitions: []int{0, 1, 2}}}
	for range 6 {
		var next []task
		for _, k := range tasks {
			now, later, ok := k.split()
			if !ok {
				t.Fatal("not split")
			}
			next = append(next, now, later)
		}
		tasks = next
	}
	for n := range 300 {
		k := view.Key{Kind: view.KindPIN, Tenant: "acme", ID: time.Duration(n).String()}
		for p := range 3 {
			holders := 0
			for i := range tasks {
				if tasks[i].has(k) && len(tasks[i].partitions) == 1 && tasks[i].partitions[0] == p {
					holders++
				}
			}
			if holders != 1 {
				t.Fatalf("%d parts hold a key of partition %d, want one", holders, p)
			}
		}
	}
}
