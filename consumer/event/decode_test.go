package event_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/pinstatus/pinstatus/consumer/event"
)

func smsDecoded(change func(*event.Event)) event.Event {
	e := event.Event{
		Type: event.SMSStatus, ID: "e-1", Source: "/s", Tenant: "acme", Key: "2B67", Time: at("2026-11-21T10:00:04Z"),
		EntryID: "m-1", Status: event.MessageDelivered,
		DurationSeconds: event.Absent, AttemptsRemaining: event.Absent,
	}
	change(&e)
	return e
}

func same(*event.Event) {}

func wantDecoded(t *testing.T, subject string, header map[string][]string, payload string, want event.Event) {
	t.Helper()
	got := event.Event{ID: "left over", SetPINs: []string{"left over"}, DurationSeconds: 7, Until: 7}
	if err := event.Decode(subject, header, []byte(payload), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What gateways may write differently and still mean the same.
func TestDecodeTakes(t *testing.T) {
	sms := func(old, by string) string { return swap(smsEvent, old, by) }
	data := func(more string) string {
		return sms(`"status":"MESSAGE_DELIVERED"`, `"status":"MESSAGE_DELIVERED",`+more)
	}
	text := func(s string) func(*event.Event) { return func(e *event.Event) { e.ErrorText = s } }
	price := func(amount string) func(*event.Event) {
		return func(e *event.Event) { e.Price = event.Price{Amount: amount, Currency: "EUR"} }
	}
	for _, x := range []struct {
		name    string
		payload string
		want    func(*event.Event)
	}{
		{"as it is", smsEvent, same},
		{"white space", " \t\r\n" + strings.NewReplacer(`,"`, " ,\r\n\t\"", `":`, "\" :\t", `{`, "{ ", `}`, "\n}").Replace(smsEvent) + "\n", same},
		{"white space as printers set it", strings.NewReplacer(`,"`, `, "`, `":`, `": `).Replace(smsEvent), same},
		{"as large as may be", smsEvent + strings.Repeat(" ", event.MaxPayload-len(smsEvent)), same},
		{"data first", fmt.Sprintf(`{"data":%s,%s}`, smsData, strings.TrimSuffix(smsEvent[1:], `,"data":`+smsData+`}`)), same},
		{"escaped names", sms(`"id"`, `"\u0069\u0064"`), same},
		{"escaped values", strings.NewReplacer(`acme`, `\u0061c\u006De`, `/s`, `\/s`, `MESSAGE`, `M\u0045SSAGE`, `sms.status`, `sms\u002estatus`).Replace(smsEvent), same},
		{"surrogate pair", sms(`e-1`, `\ud83d\uDE00`), func(e *event.Event) { e.ID = "😀" }},
		{"longest id", sms(`e-1`, id257[1:]), func(e *event.Event) { e.ID = id257[1:] }},
		{"id beyond ASCII", sms(`e-1`, `é漢😀`+"\u00a0"), func(e *event.Event) { e.ID = "é漢😀\u00a0" }},
		{"unknown attributes", sms(`"id"`, `"x":1,"y":{"id":"z","data":[{}]},"z":[[],{}],"w":null,"v":-0.5e+10,"u":true,"":false,"id"`), same},
		{"unknown attribute twice", sms(`"id"`, `"x":1,"x":2,"id"`), same},
		{"unknown members", data(`"x":{"status":"X"},"x":["\ud800"],"pinType":5,"outcome":{},"callId":[],"durationSeconds":"x","attemptsRemaining":-3,"until":0,"setPins":7,"device":{}`), same},
		{"another type's member twice", data(`"pinType":5,"pinType":6`), same},
		{"names are case-sensitive", data(`"Status":"X","PINID":7`), same},
		{"deep, but not too deep", sms(`"id"`, `"x":`+strings.Repeat(`[`, 64)+strings.Repeat(`]`, 64)+`,"id"`), same},
		{"optional members null", data(`"accountId":null,"gateway":null,"to":null,"network":null,"errorCode":null,"errorText":null,"price":null`), same},
		{"optional members empty", data(`"accountId":"","gateway":"","to":"","network":"","errorCode":"","errorText":""`), same},
		{"optional attributes null", sms(`"data"`, `"subject":null,"datacontenttype":null,"traceparent":null,"data_base64":null,"data"`), same},
		{"datacontenttype", sms(`"data"`, `"datacontenttype":"application/json","data"`), same},
		{"datacontenttype with parameters", sms(`"data"`, `"datacontenttype":"Application/JSON ; v=1;charset=\"UTF-8\"","data"`), same},
		{"data as bytes", sms(`"data":`+smsData, `"data_base64":"`+base64.StdEncoding.EncodeToString([]byte(" "+smsData+"\n"))+`"`), same},
		{"data as bytes, escaped", sms(`"data":`+smsData, `"data":null,"data_base64":"`+strings.ReplaceAll(base64.StdEncoding.EncodeToString([]byte(smsData)), "e", `\u0065`)+`"`), same},
		{"traceparent", sms(`"data"`, `"traceparent":"`+trace+`","data"`), func(e *event.Event) { e.TraceParent = trace }},
		{"traceparent of no use", sms(`"data"`, `"traceparent":"00-x","data"`), same},
		{"traceparent no string", sms(`"data"`, `"traceparent":{},"data"`), same},
		{"traceparent twice", sms(`"data"`, `"traceparent":"`+trace+`","traceparent":"`+trace+`","data"`), same},
		{"text of any kind", data(`"errorText":"a\u0000\n\t\"\\\/\b\f\r\u007f é"`), text("a\x00\n\t\"\\/\b\f\r\x7f é")},
		{"half a character in text", data(`"errorText":"a\ud83d","gateway":"\ude00\ud83dx\ud83d\ud83d\ude00\ud83d\n\ud83d\u0041"`), func(e *event.Event) {
			e.ErrorText, e.Gateway = "a\ufffd", "\ufffd\ufffdx\ufffd😀\ufffd\n\ufffdA"
		}},
		{"text longer than is kept", data(`"errorText":"` + strings.Repeat("x", event.MaxTextBytes) + `y"`), text(strings.Repeat("x", event.MaxTextBytes))},
		{"text cut in a character", data(`"errorText":"` + strings.Repeat("x", event.MaxTextBytes-2) + `漢"`), text(strings.Repeat("x", event.MaxTextBytes-2))},
		{"text cut behind a character", data(`"errorText":"` + strings.Repeat("x", event.MaxTextBytes-3) + `漢y"`), text(strings.Repeat("x", event.MaxTextBytes-3) + "漢")},
		{"price", data(`"price":{"currency":"EUR","amount":"0.0450"}`), price("0.0450")},
		{"price with unknown members", data(`"price":{"currency":"EUR","amount":"7","x":{"amount":1}}`), price("7")},
		{"price below zero", data(`"price":{"currency":"EUR","amount":"-.5"}`), price("-.5")},
		{"price with plus and point", data(`"price":{"currency":"EUR","amount":"+5."}`), price("+5.")},
	} {
		t.Run(x.name, func(t *testing.T) {
			wantDecoded(t, event.Subject(event.FamilySMS, "acme", "2B67"), nil, x.payload, smsDecoded(x.want))
		})
	}
}

func TestDecodeTakesOfOtherTypes(t *testing.T) {
	for _, x := range []struct {
		typ, data string
		want      func(*event.Event)
	}{
		{"voice.status.v1", `{"pinId":"k","callId":"c","status":"PROCESSED","messageId":7,"durationSeconds":999999999999999999}`, func(e *event.Event) {
			e.EntryID, e.Status, e.DurationSeconds = "c", event.CallProcessed, 999999999999999999
		}},
		{"voice.status.v1", `{"pinId":"k","callId":"c","status":"ERROR","durationSeconds":null}`, func(e *event.Event) {
			e.EntryID, e.Status = "c", event.CallError
		}},
		{"code.verification.v1", `{"pinId":"k","accountId":7,"outcome":"TTL_EXPIRED","attemptsRemaining":0}`, func(e *event.Event) {
			e.Outcome, e.AttemptsRemaining = event.TTLExpired, 0
		}},
		{"attempt.v1", `{"accountId":"k","pinId":7,"pinType":"P","outcome":"FAILED","device":"` + strings.Repeat("d", 1025) + `"}`, func(e *event.Event) {
			e.PINType, e.Outcome, e.Device = "P", event.Failed, strings.Repeat("d", 1024)
		}},
		{"pin.locked.v1", `{"accountId":"k","pinType":"P","until":"2027-11-22T10:00:04Z"}`, func(e *event.Event) { // 366 days
			e.PINType, e.Until = "P", at("2027-11-22T10:00:04Z")
		}},
		{"pin.locked.v1", `{"accountId":"k","pinType":"P","until":"2020-01-01T00:00:00+01:00"}`, func(e *event.Event) { // long over
			e.PINType, e.Until = "P", at("2019-12-31T23:00:00Z")
		}},
		{"account.provisioned.v1", `{"accountId":"k","setPins":[ "P" , "\u0051]\"" ]}`, func(e *event.Event) { e.SetPINs = []string{"P", `Q]"`} }},
		{"account.provisioned.v1", `{"accountId":"k","setPins":[ ]}`, same},
		{"account.provisioned.v1", `{"accountId":"k","setPins":null}`, same},
	} {
		t.Run(x.typ+x.data, func(t *testing.T) {
			typ, ok := event.ParseType("pinstatus." + x.typ)
			if !ok {
				t.Fatal("no such type")
			}
			want := smsDecoded(func(e *event.Event) { e.Type, e.Key, e.EntryID, e.Status = typ, "k", "", 0 })
			x.want(&want)
			wantDecoded(t, event.Subject(typ.Family(), "acme", "k"), nil, eventOf(x.typ, x.data), want)
		})
	}
}

func TestDecodeStructuredHeaders(t *testing.T) {
	id := func(h map[string][]string, more ...string) map[string][]string {
		for i := 0; i < len(more); i += 2 {
			h[more[i]] = append(h[more[i]], more[i+1])
		}
		return h
	}
	one := func(more ...string) map[string][]string {
		return id(map[string][]string{"Content-Type": {event.ContentType}}, more...)
	}
	traced := func(e *event.Event) { e.TraceParent = trace }
	for _, x := range []struct {
		name   string
		header map[string][]string
		want   func(*event.Event)
	}{
		{"none", nil, same},
		{"empty", map[string][]string{}, same},
		{"nothing that counts", map[string][]string{"Nats-Msg-Id": {"x"}, "X-Y": {"\xff"}}, same},
		{"no value", map[string][]string{"Content-Type": {}}, same},
		{"empty value", map[string][]string{"Content-Type": {""}, "content-type": {" "}}, same},
		{"Content-Type", one(), same},
		{"and Nats-Msg-Id", one("Nats-Msg-Id", "x"), same},
		{"in lower case", map[string][]string{"content-type": {event.ContentType}}, same},
		{"in upper case", map[string][]string{"CONTENT-TYPE": {strings.ToUpper(event.ContentType)}}, same},
		{"with charset", map[string][]string{"Content-Type": {event.ContentType + "; charset=utf-8"}}, same},
		{"with charset and more", map[string][]string{"Content-Type": {" " + event.ContentType + " ; x ; Charset=\"UTF-8\""}}, same},
		{"ASCII is UTF-8", map[string][]string{"Content-Type": {event.ContentType + ";charset=us-ascii"}}, same},
		{"without the format", map[string][]string{"Content-Type": {"application/cloudevents"}}, same},
		{"an empty one beside", one("content-type", ""), same},
		{"attributes of no mode", one("ce-id", "other", "ce-specversion", "0.3"), same},
		{"traceparent", one("traceparent", trace), traced},
		{"traceparent in another case", one("TraceParent", " "+trace), traced},
		{"traceparent alone", map[string][]string{"traceparent": {trace}}, traced},
		{"traceparent twice", one("traceparent", trace, "traceparent", trace), same},
		{"traceparent in two cases", one("traceparent", trace, "Traceparent", trace), same},
		{"traceparent of no use", one("traceparent", "00-"+strings.Repeat("0", 32)+"-b7ad6b7169203331-01"), same},
		{"traceparent broken", one("traceparent", "%"), same},
	} {
		t.Run(x.name, func(t *testing.T) {
			wantDecoded(t, smsSubject, x.header, smsEvent, smsDecoded(x.want))
		})
	}
}

func TestDecodeBinaryHeaders(t *testing.T) {
	for _, x := range []struct {
		name  string
		field string
		value string
		want  func(*event.Event)
	}{
		{"as it is", "X", "y", same},
		{"Content-Type", "content-type", "application/json", same},
		{"Content-Type with charset", "Content-Type", "application/json; charset=utf-8", same},
		{"datacontenttype", "ce-datacontenttype", "application/json", same},
		{"unknown attribute", "ce-x", "%", same},
		{"no attributes", "ce-data", "{}", same},
		{"no attributes either", "ce-data_base64", "", same},
		{"the bare prefix", "ce-", "x", same},
		{"subject", "CE-Subject", "%32B67", same},
		{"subject empty", "ce-subject", "", same},
		{"attribute traceparent", "ce-traceparent", trace, func(e *event.Event) { e.TraceParent = trace }},
		{"attribute traceparent broken", "ce-traceparent", "%", same},
		{"attribute traceparent of no use", "ce-traceparent", "00", same},
		{"header traceparent", "Traceparent", trace, func(e *event.Event) { e.TraceParent = trace }},
	} {
		t.Run(x.name, func(t *testing.T) {
			header := binaryHeader()
			header[x.field] = []string{x.value}
			wantDecoded(t, smsSubject, header, smsData, smsDecoded(x.want))
		})
	}
	for value, want := range map[string]string{
		"plain":              "plain",
		" \tspace around  ":  "space around",
		"a%20b":              "a b",
		"%c3%A9":             "é",
		"Euro%20%E2%82%AC":   "Euro €",
		"é":                  "é",
		`"quoted"`:           "quoted",
		`"a \"b\" \\ c%25"`:  `a "b" \ c%`,
		`"ends in \"`:        `ends in \`,
		`"`:                  `"`,
		`a"b`:                `a"b`,
		"100%25":             "100%",
		"%2525":              "%25",
		"%F0%9F%98%80":       "😀",
		"https://x/?a=b%26c": "https://x/?a=b&c",
	} {
		t.Run(value, func(t *testing.T) {
			header := binaryHeader()
			delete(header, "ce-id")
			header["CE-ID"] = []string{value}
			wantDecoded(t, smsSubject, header, smsData, smsDecoded(func(e *event.Event) { e.ID = want }))
		})
	}
	t.Run("attribute before header", func(t *testing.T) {
		header := binaryHeader()
		header["ce-traceparent"] = []string{trace}
		header["traceparent"] = []string{strings.Replace(trace, "0af", "1af", 1)}
		wantDecoded(t, smsSubject, header, smsData, smsDecoded(func(e *event.Event) { e.TraceParent = trace }))
	})
	t.Run("attribute twice is none", func(t *testing.T) {
		header := binaryHeader()
		header["ce-traceparent"] = []string{trace}
		header["Ce-Traceparent"] = []string{trace}
		for range 8 {
			wantDecoded(t, smsSubject, header, smsData, smsDecoded(same))
		}
	})
}

func TestTraceParents(t *testing.T) {
	for value, want := range map[string]bool{
		trace:                                   true,
		"cc" + trace[2:]:                        true,
		"ff" + trace[2:]:                        false,
		"FF" + trace[2:]:                        false,
		strings.ToUpper(trace):                  false,
		trace + "-x":                            false,
		trace[:54]:                              false,
		strings.Replace(trace, "-", "_", 1):     false,
		strings.Replace(trace, "-b", "_b", 1):   false,
		strings.Replace(trace, "-01", "_01", 1): false,
		strings.Replace(trace, "-01", "-0g", 1): false,
		strings.Replace(trace, "b7ad6b7169203331", strings.Repeat("0", 16), 1): false,
	} {
		header := binaryHeader()
		header["ce-traceparent"] = []string{value}
		var e event.Event
		if err := event.Decode(smsSubject, header, []byte(smsData), &e); err != nil {
			t.Fatal(err)
		}
		if got := e.TraceParent == value; got != want {
			t.Errorf("%s: taken %v, want %v", value, got, want)
		}
	}
}

// Nothing is copied and nothing allocated for the events that make up the load.
func TestDecodeAllocatesNothing(t *testing.T) {
	header := map[string][]string{"Content-Type": {event.ContentType}, "Nats-Msg-Id": {"x"}}
	payload := []byte(smsEvent)
	var e event.Event
	if n := testing.AllocsPerRun(100, func() {
		if err := event.Decode(smsSubject, header, payload, &e); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// Both modes come through a broker as they were published.
func TestModesThroughABroker(t *testing.T) {
	js := startBroker(t)
	stream := createStream(t, js, 16)
	for _, x := range examples() {
		binary, data := x.event.Binary()
		for mode, msg := range map[string]*nats.Msg{
			"structured": {Header: nats.Header{"Content-Type": {event.ContentType}}, Data: x.event.AppendStructured(nil)},
			"binary":     {Header: binary, Data: data},
		} {
			msg.Subject = x.event.Subject()
			msg.Header.Set(nats.MsgIdHdr, mode+x.name+x.event.MessageID())
			ack, err := js.PublishMsg(t.Context(), msg)
			if err != nil {
				t.Fatalf("%s, %s: %v", x.name, mode, err)
			}
			stored, err := stream.GetMsg(t.Context(), ack.Sequence)
			if err != nil {
				t.Fatal(err)
			}
			wantDecoded(t, msg.Subject, stored.Header, string(stored.Data), x.event)
		}
	}
}
