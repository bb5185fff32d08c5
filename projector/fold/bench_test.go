package fold_test

import (
	"fmt"
	"testing"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/fold"
)

// codeStream is a PIN code that was sent three times: three messages of three reports each.
func codeStream() []fold.Input {
	var events []told
	for i := range 3 {
		began, id := float64(20*i), fmt.Sprintf("m-000%d", i)
		report := func(after float64, status event.Status) told {
			return sms(began+after, id, status, with(func(e *event.Event) {
				e.Source, e.ID = "/gateways/sms-eu-1", fmt.Sprintf("sms-eu-1-%09d", len(events))
				e.Gateway, e.Network, e.To = "sms-eu-1", "22801", "48123456026"
			}))
		}
		events = append(events, report(0, event.MessageAccepted))
		events = append(events, report(1.2, event.MessageWaitingDelivery))
		events = append(events, report(4.7, event.MessageDelivered))
	}
	return stream(events...)
}

// accountStream is an account with twenty attempts, every fourth of them failed.
func accountStream() []fold.Input {
	var events []told
	for i := range 20 {
		tell := succeeded
		if i%4 == 0 {
			tell = failed
		}
		events = append(events, tell(float64(30*i), identified("/set-top-boxes", fmt.Sprintf("attempt-%09d", i))))
	}
	return stream(events...)
}

func BenchmarkFoldCode(b *testing.B) {
	events, policy := codeStream(), policy()
	b.ReportAllocs()
	for b.Loop() {
		var c fold.Code
		for _, in := range events {
			if c.Fold(in, policy) != fold.Applied {
				b.Fatal("not applied")
			}
		}
	}
	perEvent(b, len(events))
}

func BenchmarkFoldAccount(b *testing.B) {
	events, policy := accountStream(), policy()
	b.ReportAllocs()
	for b.Loop() {
		var a fold.Account
		for _, in := range events {
			if a.Fold(in, policy) != fold.Applied {
				b.Fatal("not applied")
			}
		}
	}
	perEvent(b, len(events))
}

func BenchmarkAppendCode(b *testing.B) {
	c := foldCode(codeStream(), policy())
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = c.Append(buf[:0])
	}
	b.ReportMetric(float64(len(buf)), "bytes")
}

func BenchmarkAppendAccount(b *testing.B) {
	a := foldAccount(accountStream(), policy())
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = a.Append(buf[:0])
	}
	b.ReportMetric(float64(len(buf)), "bytes")
}

func BenchmarkParseCode(b *testing.B) {
	stored := foldCode(codeStream(), policy()).Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := fold.ParseCode(stored); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseAccount(b *testing.B) {
	stored := foldAccount(accountStream(), policy()).Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := fold.ParseAccount(stored); err != nil {
			b.Fatal(err)
		}
	}
}

// perEvent reports the time of one event, where each loop takes so many.
func perEvent(b *testing.B, events int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*events), "ns/event")
}
