package event_test

import (
	"encoding/json"
	"testing"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// A structured event of 305 bytes, as a gateway would send it.
const benchSubject = "pinstatus.events.sms.acme.2B67"

var benchPayload = []byte(`{"specversion":"1.0","id":"sms-eu-1-000000042","source":"/gateways/sms-eu-1",` +
	`"type":"pinstatus.sms.status.v1","time":"2026-11-21T10:00:04.120Z","tenant":"acme",` +
	`"data":{"pinId":"2B67","messageId":"m-0001","status":"MESSAGE_DELIVERED","to":"48123456026",` +
	`"network":"22801","gateway":"sms-eu-1","errorCode":"0"}}`)

func BenchmarkDecodeStructured(b *testing.B) {
	header := map[string][]string{"Content-Type": {event.ContentType}}
	b.SetBytes(int64(len(benchPayload)))
	b.ReportAllocs()
	var e event.Event
	for b.Loop() {
		if err := event.Decode(benchSubject, header, benchPayload, &e); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeNoHeader(b *testing.B) {
	b.ReportAllocs()
	var e event.Event
	for b.Loop() {
		if err := event.Decode(benchSubject, nil, benchPayload, &e); err != nil {
			b.Fatal(err)
		}
	}
}

type plainEvent struct {
	SpecVersion string `json:"specversion"`
	ID          string `json:"id"`
	Source      string `json:"source"`
	Type        string `json:"type"`
	Time        string `json:"time"`
	Tenant      string `json:"tenant"`
	Data        struct {
		PINID     string `json:"pinId"`
		MessageID string `json:"messageId"`
		Status    string `json:"status"`
		Gateway   string `json:"gateway"`
		To        string `json:"to"`
		Network   string `json:"network"`
		ErrorCode string `json:"errorCode"`
	} `json:"data"`
}

// BenchmarkDecodeEncodingJSON is the same text through encoding/json into a plain struct,
// nothing checked.
func BenchmarkDecodeEncodingJSON(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		var e plainEvent
		if err := json.Unmarshal(benchPayload, &e); err != nil {
			b.Fatal(err)
		}
	}
}
