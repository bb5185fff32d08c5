package projector_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/view"
)

// However the stream is cut into batches, whichever commits fail with or without taking
// effect, and however often the projector starts again: what is stored in the end is, byte
// for byte, the fold of the events one by one.
func TestStoredViewsAreTheFold(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := newFixture(t)
		events := rapid.SliceOfN(rapid.Custom(someEvent), 1, 60).Draw(rt, "events")
		var stream []consumer.Message
		for _, e := range events {
			stream = append(stream, f.message(e))
		}
		positions := f.open()
		restarts := 0
		for {
			b := nextBatch(rt, stream, positions)
			if b == nil {
				break
			}
			f.store.fail = rapid.SampledFrom([]int{0, 0, 0, 0, 1, 2}).Draw(rt, "failures")
			f.store.applied = rapid.Bool().Draw(rt, "applied")
			err := f.Handle(t.Context(), b)
			if err != nil && !errors.Is(err, consumer.ErrRewind) {
				rt.Fatalf("Handle: %v", err)
			}
			f.store.fail = 0
			positions[b.Partition] = b.Through.Sequence
			if err != nil || rapid.IntRange(0, 9).Draw(rt, "restart") == 0 && restarts < 5 {
				restarts++
				f.restart()
				positions = f.open()
			}
		}
		compareWithFold(rt, f, stream)
	})
}

// nextBatch draws a partition that has not reached the end, and some of what follows there.
func nextBatch(rt *rapid.T, stream []consumer.Message, positions []uint64) *consumer.Batch {
	last := stream[len(stream)-1]
	var behind []int
	for p, at := range positions {
		if at < last.Sequence {
			behind = append(behind, p)
		}
	}
	if len(behind) == 0 {
		return nil
	}
	p := rapid.SampledFrom(behind).Draw(rt, "partition")
	size := rapid.IntRange(1, 30).Draw(rt, "batch size")
	b := &consumer.Batch{Partition: p, Through: consumer.Mark{Sequence: last.Sequence, Received: last.Received}}
	for _, m := range stream {
		if m.Sequence <= positions[p] || keyOf(&m.Event).Partition(partitions) != p {
			continue
		}
		if len(b.Messages) == size {
			end := b.Messages[size-1]
			b.Through = consumer.Mark{Sequence: end.Sequence, Received: end.Received}
			break
		}
		b.Messages = append(b.Messages, m)
	}
	return b
}

func keyOf(e *event.Event) view.Key {
	if e.Type.Family().OnCode() {
		return code(e.Key)
	}
	return account(e.Key)
}

// someEvent is an event of one of a few keys, often out of order and sometimes a repeat.
func someEvent(rt *rapid.T) event.Event {
	e := event.Event{
		ID:                fmt.Sprint(rapid.IntRange(1, 60).Draw(rt, "id")),
		Key:               rapid.SampledFrom([]string{"alice", "bob", "carol", "dave"}).Draw(rt, "key"),
		Time:              start - int64(rapid.IntRange(0, 100).Draw(rt, "minutes"))*int64(time.Minute),
		AttemptsRemaining: event.Absent,
		DurationSeconds:   event.Absent,
	}
	e.Type = rapid.SampledFrom([]event.Type{
		event.Attempt, event.Attempt, event.Attempt, event.PINSet, event.PINUnset, event.PINUnlocked, event.PINLocked,
		event.AccountProvisioned, event.AccountDeleted, event.SMSStatus, event.SMSStatus, event.CodeVerification, event.CodeErased,
	}).Draw(rt, "type")
	switch e.Type {
	case event.SMSStatus:
		e.EntryID = rapid.SampledFrom([]string{"m1", "m2"}).Draw(rt, "message")
		e.Status = rapid.SampledFrom([]event.Status{event.MessageAccepted, event.MessageWaitingDelivery, event.MessageDelivered}).Draw(rt, "status")
		e.Gateway = rapid.SampledFrom([]string{"", "eu", "us"}).Draw(rt, "gateway")
	case event.CodeVerification:
		e.Outcome = rapid.SampledFrom([]event.Outcome{event.WrongPIN, event.Verified}).Draw(rt, "outcome")
	case event.AccountProvisioned:
		e.SetPINs = []string{"Parental"}
	case event.CodeErased, event.AccountDeleted:
	default:
		e.PINType = "Parental"
		e.Outcome = rapid.SampledFrom([]event.Outcome{event.Failed, event.Failed, event.Succeeded}).Draw(rt, "outcome")
		e.Until = e.Time + int64(time.Hour+time.Second) // never just now: a store may take that either way
	}
	return e
}

// compareWithFold folds the stream one event at a time and compares.
func compareWithFold(rt *rapid.T, f *fixture, stream []consumer.Message) {
	codes, accounts := map[view.Key]*fold.Code{}, map[view.Key]*fold.Account{}
	for i := range stream {
		m := &stream[i]
		in := fold.Input{Event: &m.Event, Sequence: m.Sequence, Received: m.Received}
		key := keyOf(&m.Event)
		if key.Kind == view.KindPIN {
			if codes[key] == nil {
				codes[key] = &fold.Code{}
			}
			codes[key].Fold(in, f.policy.Tenants["acme"])
			continue
		}
		if accounts[key] == nil {
			accounts[key] = &fold.Account{}
		}
		accounts[key].Fold(in, f.policy.Tenants["acme"])
	}
	for key, c := range codes {
		if got, want := f.read(key.Partition(partitions), key).Value, c.Append(nil); !bytes.Equal(got, want) {
			rt.Errorf("PIN code %s: stored\n%x\nfold\n%x", key.ID, got, want)
		}
	}
	for key, a := range accounts {
		r := f.read(key.Partition(partitions), key, "Parental")
		if want := a.Append(nil); !bytes.Equal(r.Value, want) {
			rt.Errorf("account %s: stored\n%x\nfold\n%x", key.ID, r.Value, want)
		}
		var end int64
		if v := a.View(); v.Exists {
			for _, p := range v.PINs {
				end = p.LockEnd
			}
		}
		if locked := end > start; locked != (r.Locks[0] > 0) {
			rt.Errorf("account %s: lock ends %d ms from now, its key lives %d ms", key.ID, (end-start)/1e6, r.Locks[0])
		}
	}
}
