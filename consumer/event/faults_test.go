package event_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/pinstatus/pinstatus/consumer/event"
)

const (
	oversize       = event.ReasonOversize
	notUTF8        = event.ReasonNotUTF8
	malformed      = event.ReasonMalformed
	invalid        = event.ReasonInvalid
	unknownType    = event.ReasonUnknownType
	unknownStatus  = event.ReasonUnknownStatus
	subjectReason  = event.ReasonSubject
	smsSubject     = "pinstatus.events.sms.acme.2B67"
	smsData        = `{"pinId":"2B67","messageId":"m-1","status":"MESSAGE_DELIVERED"}`
	smsEvent       = `{"specversion":"1.0","id":"e-1","source":"/s","type":"pinstatus.sms.status.v1","time":"2026-11-21T10:00:04Z","tenant":"acme","data":` + smsData + `}`
	accountSubject = "pinstatus.events.account.acme.abc123"
)

// eventOf is a structured event on the account's subject.
func eventOf(typ, data string) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":"e-1","source":"/s","type":"pinstatus.%s","time":"2026-11-21T10:00:04Z","tenant":"acme","data":%s}`, typ, data)
}

func swap(s, old, by string) string {
	if !strings.Contains(s, old) {
		panic("nothing to swap: " + old)
	}
	return strings.Replace(s, old, by, 1)
}

// id257 is one byte longer than an id may be.
var id257 = strings.Repeat("x", event.MaxIDBytes+1)

func TestDecodeStructuredFaults(t *testing.T) {
	sms := func(old, by string) string { return swap(smsEvent, old, by) }
	data := func(more string) string {
		return sms(`"status":"MESSAGE_DELIVERED"`, `"status":"MESSAGE_DELIVERED",`+more)
	}
	b64 := func(data string) string {
		return sms(`"data":`+smsData, `"data_base64":"`+base64.StdEncoding.EncodeToString([]byte(data))+`"`)
	}
	nested := func(n int) string { return strings.Repeat(`[`, n) + strings.Repeat(`]`, n) }
	for _, x := range []struct {
		name    string
		payload string
		reason  event.Reason
		detail  string
	}{
		{"too large", smsEvent + strings.Repeat(" ", event.MaxPayload), oversize, "payload"},
		{"too large and not UTF-8", strings.Repeat("\xff", event.MaxPayload+1), oversize, "payload"},
		{"not UTF-8 in a value", sms(`"e-1"`, "\"\xff\""), notUTF8, "payload"},
		{"not UTF-8 in an unknown name", sms(`"id"`, "\"\xc3(\":1,\"id\""), notUTF8, "payload"},
		{"surrogate in UTF-8", sms(`"e-1"`, "\"\xed\xa0\x80\""), notUTF8, "payload"},
		{"not UTF-8 behind the end", smsEvent + "\xff", notUTF8, "payload"},

		{"empty", "", malformed, "payload: not JSON from byte 0"},
		{"white space", " \n", malformed, "payload: not JSON from byte 2"},
		{"text", "delivered", malformed, "payload: not JSON from byte 0"},
		{"byte order mark", "\ufeff" + smsEvent, malformed, "payload: not JSON from byte 0"},
		{"array", "[" + smsEvent + "]", malformed, "payload: not an object"},
		{"string", `"x"`, malformed, "payload: not an object"},
		{"null", `null`, malformed, "payload: not an object"},
		{"number", ` 17 `, malformed, "payload: not an object"},
		{"cut off", smsEvent[:len(smsEvent)-1], malformed, fmt.Sprintf("payload: not JSON from byte %d", len(smsEvent)-1)},
		{"rubbish behind", smsEvent + "x", malformed, fmt.Sprintf("payload: not JSON from byte %d", len(smsEvent))},
		{"two events", smsEvent + smsEvent, malformed, fmt.Sprintf("payload: not JSON from byte %d", len(smsEvent))},
		{"not an event", `{}`, malformed, "specversion"},
		{"deep, unknown attribute", sms(`"id"`, `"x":`+nested(65)+`,"id"`), malformed, "payload: too deep"},
		{"deep, unknown member", data(`"x":` + strings.Repeat(`{"a":`, 65) + "1" + strings.Repeat(`}`, 65)), malformed, "payload: too deep"},
		{"bottomless", sms(`"id"`, `"x":`+strings.Repeat(`[`, 60000)), malformed, "payload: too deep"},
		{"control character in a string", sms(`e-1`, "e\n1"), malformed, "payload: not JSON from byte 28"},
		{"unknown member is not JSON", data(`"x":tru`), malformed, fmt.Sprintf("payload: not JSON from byte %d", len(smsEvent)-2+len(`,"x":tru`))},

		{"no specversion", sms(`"specversion":"1.0",`, ``), malformed, "specversion"},
		{"specversion null", sms(`"1.0"`, `null`), malformed, "specversion"},
		{"specversion 0.3", sms(`"1.0"`, `"0.3"`), malformed, "specversion"},
		{"specversion number", sms(`"1.0"`, `1.0`), malformed, "specversion"},
		{"name in another case", sms(`"specversion"`, `"SpecVersion"`), malformed, "specversion"},
		{"id twice", sms(`"id":"e-1"`, `"id":"e-1","id":"e-1"`), malformed, "id: repeated"},
		{"id twice, once escaped", sms(`"id":"e-1"`, `"id":"e-1","\u0069d":"e-1"`), malformed, "id: repeated"},
		{"id null and not", sms(`"id":"e-1"`, `"id":null,"id":"e-1"`), malformed, "id: repeated"},
		{"time twice and tenant twice", sms(`"tenant"`, `"tenant":"x","time":"x","tenant"`), malformed, "time: repeated"},
		{"data twice", sms(`"data":`, `"data":{},"data":`), malformed, "data: repeated"},
		{"status twice", data(`"status":"MESSAGE_ACCEPTED"`), malformed, "data.status: repeated"},
		{"amount twice", data(`"price":{"amount":"1","amount":"2","currency":"EUR"}`), malformed, "data.price.amount: repeated"},
		{"data and data_base64", sms(`"data":`, `"data_base64":"e30=","data":`), malformed, "data_base64"},
		{"data_base64 is not base64", sms(`"data":`+smsData, `"data_base64":"e30"`), malformed, "data_base64"},
		{"data_base64 is no string", sms(`"data":`+smsData, `"data_base64":{}`), malformed, "data_base64"},
		{"data_base64 is not JSON", b64("{"), malformed, "data_base64: not JSON from byte 1"},
		{"data_base64 is too deep", b64(`{"x":` + nested(65) + `}`), malformed, "data_base64: too deep"},
		{"data_base64 is not UTF-8", b64("{\"\xff\":1}"), notUTF8, "data_base64"},
		{"data_base64 is no object", b64("[]"), invalid, "data"},
		{"data_base64 lacks a member", b64(`{"pinId":"2B67","messageId":"m-1"}`), invalid, "data.status"},

		{"no id", sms(`"id":"e-1",`, ``), invalid, "id"},
		{"id null", sms(`"e-1"`, `null`), invalid, "id"},
		{"id empty", sms(`"e-1"`, `""`), invalid, "id"},
		{"id number", sms(`"e-1"`, `1`), invalid, "id"},
		{"id object", sms(`"e-1"`, `{}`), invalid, "id"},
		{"id too long", sms(`e-1`, id257), invalid, "id"},
		{"id with a control character", sms(`e-1`, `e\n1`), invalid, "id"},
		{"id with a control character beyond ASCII", sms(`e-1`, "e\u0085"), invalid, "id"},
		{"id with DEL", sms(`e-1`, "1\x7f345678"), invalid, "id"},
		{"id with DEL at its end", sms(`e-1`, "12345678\x7f"), invalid, "id"},
		{"id with half a character", sms(`e-1`, `\ud83d`), notUTF8, "id"},
		{"id with the other half", sms(`e-1`, `\ude00x`), notUTF8, "id"},
		{"id with halves the wrong way", sms(`e-1`, `\ude00\ud83d`), notUTF8, "id"},
		{"no source", sms(`"source":"/s",`, ``), invalid, "source"},
		{"source empty", sms(`"/s"`, `""`), invalid, "source"},
		{"source too long", sms(`/s`, strings.Repeat("s", event.MaxSourceBytes+1)), invalid, "source"},
		{"source array", sms(`"/s"`, `["/s"]`), invalid, "source"},
		{"no type", sms(`"type":"pinstatus.sms.status.v1",`, ``), invalid, "type"},
		{"type empty", sms(`pinstatus.sms.status.v1`, ``), invalid, "type"},
		{"type bool", sms(`"pinstatus.sms.status.v1"`, `true`), invalid, "type"},
		{"unknown type", sms(`status.v1`, `status.v2`), unknownType, "type"},
		{"unknown type without data", sms(`status.v1`, `status.v2","data":null,"x":"`), malformed, "data: repeated"},
		{"no time", sms(`"time":"2026-11-21T10:00:04Z",`, ``), invalid, "time"},
		{"time without zone", sms(`04Z`, `04`), invalid, "time"},
		{"time number", sms(`"2026-11-21T10:00:04Z"`, `1795255204`), invalid, "time"},
		{"time before the epoch", sms(`2026`, `1969`), invalid, "time"},
		{"time beyond nanoseconds", sms(`2026`, `2262`), invalid, "time"},
		{"no tenant", sms(`"tenant":"acme",`, ``), invalid, "tenant"},
		{"tenant malformed", sms(`"acme"`, `"Acme"`), invalid, "tenant"},
		{"tenant number", sms(`"acme"`, `7`), invalid, "tenant"},
		{"subject number", sms(`"data"`, `"subject":2,"data"`), invalid, "subject"},
		{"datacontenttype XML", sms(`"data"`, `"datacontenttype":"application/xml","data"`), invalid, "datacontenttype"},
		{"datacontenttype of another charset", sms(`"data"`, `"datacontenttype":"application/json; charset=latin1","data"`), invalid, "datacontenttype"},
		{"datacontenttype number", sms(`"data"`, `"datacontenttype":1,"data"`), invalid, "datacontenttype"},

		{"no data", sms(`,"data":`+smsData, ``), invalid, "data"},
		{"data null", sms(smsData, `null`), invalid, "data"},
		{"data string", sms(smsData, `"{}"`), invalid, "data"},
		{"data array", sms(smsData, `[`+smsData+`]`), invalid, "data"},
		{"data empty", sms(smsData, `{}`), invalid, "data.pinId"},
		{"pinId null", sms(`"2B67"`, `null`), invalid, "data.pinId"},
		{"pinId number", sms(`"2B67"`, `2`), invalid, "data.pinId"},
		{"pinId too long", sms(`2B67`, id257), invalid, "data.pinId"},
		{"pinId with half a character", sms(`2B67`, `\ud83d`), notUTF8, "data.pinId"},
		{"no messageId", sms(`"messageId":"m-1",`, ``), invalid, "data.messageId"},
		{"callId for messageId", sms(`messageId`, `callId`), invalid, "data.messageId"},
		{"messageId empty", sms(`m-1`, ``), invalid, "data.messageId"},
		{"messageId too long", sms(`m-1`, id257), invalid, "data.messageId"},
		{"no status", sms(`,"status":"MESSAGE_DELIVERED"`, ``), invalid, "data.status"},
		{"status empty", sms(`MESSAGE_DELIVERED`, ``), invalid, "data.status"},
		{"status number", sms(`"MESSAGE_DELIVERED"`, `2`), invalid, "data.status"},
		{"unknown status", sms(`MESSAGE_DELIVERED`, `DELIVRD`), unknownStatus, "data.status"},
		{"status of a call", sms(`MESSAGE_DELIVERED`, `PROCESSED`), unknownStatus, "data.status"},
		{"accountId number", data(`"accountId":1`), invalid, "data.accountId"},
		{"accountId too long", data(`"accountId":"` + id257 + `"`), invalid, "data.accountId"},
		{"gateway number", data(`"gateway":1`), invalid, "data.gateway"},
		{"gateway too long", data(`"gateway":"` + id257 + `"`), invalid, "data.gateway"},
		{"to number", data(`"to":48123456026`), invalid, "data.to"},
		{"to too long", data(`"to":"` + id257 + `"`), invalid, "data.to"},
		{"network number", data(`"network":22801`), invalid, "data.network"},
		{"network too long", data(`"network":"` + id257 + `"`), invalid, "data.network"},
		{"errorCode number", data(`"errorCode":0`), invalid, "data.errorCode"},
		{"errorCode too long", data(`"errorCode":"` + id257 + `"`), invalid, "data.errorCode"},
		{"errorText object", data(`"errorText":{}`), invalid, "data.errorText"},
		{"price string", data(`"price":"0.045"`), invalid, "data.price"},
		{"price array", data(`"price":[]`), invalid, "data.price"},
		{"price empty", data(`"price":{}`), invalid, "data.price.amount"},
		{"amount null", data(`"price":{"amount":null,"currency":"EUR"}`), invalid, "data.price.amount"},
		{"amount number", data(`"price":{"amount":0.045,"currency":"EUR"}`), invalid, "data.price.amount"},
		{"amount with exponent", data(`"price":{"amount":"1e3","currency":"EUR"}`), invalid, "data.price.amount"},
		{"amount with comma", data(`"price":{"amount":"0,045","currency":"EUR"}`), invalid, "data.price.amount"},
		{"amount a point", data(`"price":{"amount":".","currency":"EUR"}`), invalid, "data.price.amount"},
		{"amount of two points", data(`"price":{"amount":"1.2.3","currency":"EUR"}`), invalid, "data.price.amount"},
		{"amount a sign", data(`"price":{"amount":"-","currency":"EUR"}`), invalid, "data.price.amount"},
		{"amount too long", data(`"price":{"amount":"` + strings.Repeat("1", 65) + `","currency":"EUR"}`), invalid, "data.price.amount"},
		{"no currency", data(`"price":{"amount":"1"}`), invalid, "data.price.currency"},
		{"currency in lower case", data(`"price":{"amount":"1","currency":"eur"}`), invalid, "data.price.currency"},
		{"currency sign", data(`"price":{"amount":"1","currency":"€"}`), invalid, "data.price.currency"},
		{"currency number", data(`"price":{"amount":"1","currency":978}`), invalid, "data.price.currency"},
	} {
		t.Run(x.name, func(t *testing.T) {
			wantFaults(t, smsSubject, x.payload, x.reason, x.detail)
		})
	}
}

func TestDecodeFaultsOfOtherTypes(t *testing.T) {
	var many strings.Builder
	for i := range event.MaxSetPINs + 1 {
		fmt.Fprintf(&many, `,"%d"`, i)
	}
	for _, x := range []struct {
		subject, typ, data string
		reason             event.Reason
		detail             string
	}{
		{"voice", "voice.status.v1", `{"pinId":"k","messageId":"c-1","status":"PROCESSED"}`, invalid, "data.callId"},
		{"voice", "voice.status.v1", `{"pinId":"k","callId":"c-1"}`, invalid, "data.status"},
		{"voice", "voice.status.v1", `{"pinId":"k","callId":"c-1","status":"MESSAGE_DELIVERED"}`, unknownStatus, "data.status"},
		{"voice", "voice.status.v1", `{"pinId":"k","callId":"c-1","status":"PROCESSED","durationSeconds":-1}`, invalid, "data.durationSeconds"},
		{"voice", "voice.status.v1", `{"pinId":"k","callId":"c-1","status":"PROCESSED","durationSeconds":1.5}`, invalid, "data.durationSeconds"},
		{"voice", "voice.status.v1", `{"pinId":"k","callId":"c-1","status":"PROCESSED","durationSeconds":"1"}`, invalid, "data.durationSeconds"},
		{"code", "code.verification.v1", `{"pinId":"k"}`, invalid, "data.outcome"},
		{"code", "code.verification.v1", `{"pinId":"k","outcome":""}`, invalid, "data.outcome"},
		{"code", "code.verification.v1", `{"pinId":"k","outcome":true}`, invalid, "data.outcome"},
		{"code", "code.verification.v1", `{"pinId":"k","outcome":"OK"}`, unknownStatus, "data.outcome"},
		{"code", "code.verification.v1", `{"pinId":"k","outcome":"SUCCEEDED"}`, unknownStatus, "data.outcome"},
		{"code", "code.verification.v1", `{"pinId":"k","outcome":"VERIFIED","attemptsRemaining":-1}`, invalid, "data.attemptsRemaining"},
		{"code", "code.verification.v1", `{"pinId":"k","outcome":"VERIFIED","attemptsRemaining":1e1}`, invalid, "data.attemptsRemaining"},
		{"code", "code.verification.v1", `{"pinId":"k","outcome":"VERIFIED","attemptsRemaining":1000000000000000000}`, invalid, "data.attemptsRemaining"},
		{"code", "code.verification.v1", `{"pinId":"k","outcome":"VERIFIED","attemptsRemaining":[]}`, invalid, "data.attemptsRemaining"},
		{"code", "code.erased.v1", `{}`, invalid, "data.pinId"},
		{"attempt", "attempt.v1", `{"pinId":"k","pinType":"P","outcome":"FAILED"}`, invalid, "data.accountId"},
		{"attempt", "attempt.v1", `{"accountId":"k","outcome":"FAILED"}`, invalid, "data.pinType"},
		{"attempt", "attempt.v1", `{"accountId":"k","pinType":"","outcome":"FAILED"}`, invalid, "data.pinType"},
		{"attempt", "attempt.v1", `{"accountId":"k","pinType":"\ud800","outcome":"FAILED"}`, notUTF8, "data.pinType"},
		{"attempt", "attempt.v1", `{"accountId":"k","pinType":"P"}`, invalid, "data.outcome"},
		{"attempt", "attempt.v1", `{"accountId":"k","pinType":"P","outcome":"VERIFIED"}`, unknownStatus, "data.outcome"},
		{"attempt", "attempt.v1", `{"accountId":"k","pinType":"P","outcome":"FAILED","device":7}`, invalid, "data.device"},
		{"account", "pin.set.v1", `{"accountId":"k"}`, invalid, "data.pinType"},
		{"account", "pin.unset.v1", `{"accountId":"k","pinType":7}`, invalid, "data.pinType"},
		{"account", "pin.unlocked.v1", `{"pinType":"P"}`, invalid, "data.accountId"},
		{"account", "pin.locked.v1", `{"accountId":"k","pinType":"P"}`, invalid, "data.until"},
		{"account", "pin.locked.v1", `{"accountId":"k","pinType":"P","until":"tomorrow"}`, invalid, "data.until"},
		{"account", "pin.locked.v1", `{"accountId":"k","pinType":"P","until":1795255204}`, invalid, "data.until"},
		{"account", "pin.locked.v1", `{"accountId":"k","pinType":"P","until":"2027-11-22T10:00:04.000000001Z"}`, invalid, "data.until"},
		{"account", "account.provisioned.v1", `{"accountId":"k","setPins":"P"}`, invalid, "data.setPins"},
		{"account", "account.provisioned.v1", `{"accountId":"k","setPins":{}}`, invalid, "data.setPins"},
		{"account", "account.provisioned.v1", `{"accountId":"k","setPins":["P",7]}`, invalid, "data.setPins"},
		{"account", "account.provisioned.v1", `{"accountId":"k","setPins":["P",null]}`, invalid, "data.setPins"},
		{"account", "account.provisioned.v1", `{"accountId":"k","setPins":[["P"]]}`, invalid, "data.setPins"},
		{"account", "account.provisioned.v1", `{"accountId":"k","setPins":["P",""]}`, invalid, "data.setPins"},
		{"account", "account.provisioned.v1", `{"accountId":"k","setPins":["\udfff"]}`, notUTF8, "data.setPins"},
		{"account", "account.provisioned.v1", `{"accountId":"k","setPins":["` + id257 + `"]}`, invalid, "data.setPins"},
		{"account", "account.provisioned.v1", `{"accountId":"k","setPins":[` + many.String()[1:] + `]}`, invalid, "data.setPins"},
		{"account", "account.deleted.v1", `{"accountId":null}`, invalid, "data.accountId"},
	} {
		t.Run(x.typ+x.data[:min(len(x.data), 80)], func(t *testing.T) {
			wantFaults(t, "pinstatus.events."+x.subject+".acme.k", eventOf(x.typ, x.data), x.reason, x.detail)
		})
	}
}

// wantFaults checks the fault of a structured event, with and without a header.
func wantFaults(t *testing.T, subject, payload string, reason event.Reason, detail string) {
	t.Helper()
	for _, header := range []map[string][]string{nil, {"Content-Type": {event.ContentType}}} {
		var e event.Event
		wantFault(t, "", event.Decode(subject, header, []byte(payload), &e), reason, detail)
	}
}

func TestDecodeSubjectFaults(t *testing.T) {
	for _, x := range []struct {
		name, subject, payload, detail string
	}{
		{"other family", "pinstatus.events.voice.acme.2B67", smsEvent, "type"},
		{"other tenant", "pinstatus.events.sms.acme2.2B67", smsEvent, "tenant"},
		{"other key", "pinstatus.events.sms.acme.2B68", smsEvent, "data.pinId"},
		{"key longer", "pinstatus.events.sms.acme.2B677", smsEvent, "data.pinId"},
		{"key shorter", "pinstatus.events.sms.acme.2B6", smsEvent, "data.pinId"},
		{"key in another case", "pinstatus.events.sms.acme.2b67", smsEvent, "data.pinId"},
		{"key escaped in need", "pinstatus.events.sms.acme.a%2E", swap(smsEvent, "2B67", "a."), ""},
		{"key escaped without need", "pinstatus.events.sms.acme.%32B67", smsEvent, "subject key"},
		{"key escaped in lower case", "pinstatus.events.sms.acme.a%2e", swap(smsEvent, "2B67", "a."), "subject key"},
		{"key cut in an escape", "pinstatus.events.sms.acme.a%2", swap(smsEvent, "2B67", "a."), "subject key"},
		{"key not escaped", "pinstatus.events.sms.acme.a/", swap(smsEvent, "2B67", "a/"), "subject key"},
		{"key looks escaped", "pinstatus.events.sms.acme.a%2E", swap(smsEvent, "2B67", "a%2E"), "data.pinId"},
		{"id looks escaped", "pinstatus.events.sms.acme.a%252E", swap(smsEvent, "2B67", "a%2E"), ""},
		{"empty", "", smsEvent, "subject prefix"},
		{"of the stream", "pinstatus.p.3.sms.acme.2B67", smsEvent, "subject prefix"},
		{"too few tokens", "pinstatus.events.sms.acme", smsEvent, "subject tokens"},
		{"too many tokens", "pinstatus.events.sms.acme.2B67.x", smsEvent, "subject tokens"},
		{"no such family", "pinstatus.events.mms.acme.2B67", smsEvent, "subject family"},
		{"no tenant", "pinstatus.events.sms.ACME.2B67", smsEvent, "subject tenant"},
		{"attribute agrees", smsSubject, swap(smsEvent, `"data"`, `"subject":"2B67","data"`), ""},
		{"attribute null", smsSubject, swap(smsEvent, `"data"`, `"subject":null,"data"`), ""},
		{"attribute disagrees", smsSubject, swap(smsEvent, `"data"`, `"subject":"2B68","data"`), "subject"},
		{
			"attribute is the token", "pinstatus.events.sms.acme.a%2E",
			swap(swap(smsEvent, "2B67", "a."), `"data"`, `"subject":"a%2E","data"`), "subject",
		},
		{"other account", accountSubject, eventOf("pin.set.v1", `{"accountId":"abc124","pinType":"P"}`), "data.accountId"},
	} {
		t.Run(x.name, func(t *testing.T) {
			var e event.Event
			err := event.Decode(x.subject, nil, []byte(x.payload), &e)
			if x.detail == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantFault(t, x.name, err, subjectReason, x.detail)
		})
	}
}

func binaryHeader() map[string][]string {
	return map[string][]string{
		"ce-specversion": {"1.0"}, "ce-id": {"e-1"}, "ce-source": {"/s"}, "ce-type": {"pinstatus.sms.status.v1"},
		"ce-time": {"2026-11-21T10:00:04Z"}, "ce-tenant": {"acme"},
	}
}

func TestDecodeBinaryFaults(t *testing.T) {
	with := func(name string, values ...string) map[string][]string {
		h := binaryHeader()
		h[name] = values
		return h
	}
	without := func(name string) map[string][]string {
		h := binaryHeader()
		delete(h, name)
		return h
	}
	for _, x := range []struct {
		name    string
		header  map[string][]string
		payload string
		reason  event.Reason
		detail  string
	}{
		{"no specversion", without("ce-specversion"), smsData, malformed, "specversion"},
		{"specversion 1", with("ce-specversion", "1"), smsData, malformed, "specversion"},
		{"no attributes, JSON", map[string][]string{"Content-Type": {"application/json"}}, smsEvent, malformed, "specversion"},
		{"an attribute alone", map[string][]string{"ce-id": {"x"}}, smsEvent, malformed, "specversion"},
		{"no id", without("ce-id"), smsData, invalid, "id"},
		{"id without value", with("ce-id"), smsData, invalid, "id"},
		{"id empty", with("ce-id", " "), smsData, invalid, "id"},
		{"id too long", with("ce-id", id257), smsData, invalid, "id"},
		{"id with an escaped line feed", with("ce-id", "a%0Ab"), smsData, invalid, "id"},
		{"id twice", with("ce-id", "a", "b"), smsData, malformed, "id: repeated"},
		{"id in two cases", with("CE-Id", "e-1"), smsData, malformed, "id: repeated"},
		{"id in two cases, once broken", with("CE-Id", "%"), smsData, malformed, "id: repeated"},
		{"id escape cut off", with("ce-id", "a%2"), smsData, malformed, "id"},
		{"id escape is none", with("ce-id", "100%zz"), smsData, malformed, "id"},
		{"id is not UTF-8", with("ce-id", "\xff"), smsData, notUTF8, "id"},
		{"id is not UTF-8 once decoded", with("ce-id", "%C0%A0"), smsData, notUTF8, "id"},
		{"source and id broken", map[string][]string{"ce-id": {"%"}, "ce-source": {"\xff"}}, smsData, malformed, "id"},
		{"no source", without("ce-source"), smsData, invalid, "source"},
		{"no type", without("ce-type"), smsData, invalid, "type"},
		{"unknown type", with("ce-type", "x"), smsData, unknownType, "type"},
		{"no time", without("ce-time"), smsData, invalid, "time"},
		{"time malformed", with("ce-time", "now"), smsData, invalid, "time"},
		{"no tenant", without("ce-tenant"), smsData, invalid, "tenant"},
		{"other tenant", with("ce-tenant", "acme2"), smsData, subjectReason, "tenant"},
		{"subject disagrees", with("ce-subject", "2B68"), smsData, subjectReason, "subject"},
		{"datacontenttype XML", with("ce-datacontenttype", "text/xml"), smsData, invalid, "datacontenttype"},
		{"Content-Type XML", with("Content-Type", "text/xml"), smsData, invalid, "content-type"},
		{"Content-Type of another charset", with("content-type", `application/json; charset="utf-16"`), smsData, invalid, "content-type"},
		{"Content-Type twice", with("Content-Type", "application/json", "application/json"), smsData, malformed, "content-type: repeated"},
		{"Content-Type of a batch", with("Content-Type", "application/cloudevents-batch+json"), smsData, malformed, "content-type"},
		{"Content-Type of another format", with("Content-Type", "application/cloudevents+avro"), smsData, malformed, "content-type"},
		{"structured in another charset", with("Content-Type", event.ContentType+";charset=latin1"), smsEvent, malformed, "content-type"},
		{"structured without an event", with("Content-Type", event.ContentType), smsData, malformed, "specversion"},
		{"no payload", binaryHeader(), "", malformed, "payload: not JSON from byte 0"},
		{"payload is not JSON", binaryHeader(), "{]", malformed, "payload: not JSON from byte 1"},
		{"payload is no object", binaryHeader(), "[]", invalid, "data"},
		{"payload is null", binaryHeader(), "null", invalid, "data"},
		{"payload is the event", binaryHeader(), smsEvent, invalid, "data.pinId"},
		{"payload is too large", binaryHeader(), strings.Repeat(" ", event.MaxPayload) + smsData, oversize, "payload"},
		{"payload is not UTF-8", binaryHeader(), "\xff", notUTF8, "payload"},
		{"status twice", binaryHeader(), swap(smsData, `"status"`, `"status":null,"status"`), malformed, "data.status: repeated"},
	} {
		t.Run(x.name, func(t *testing.T) {
			before := fmt.Sprint(x.header)
			for range 8 { // the order of a header is not that of the table
				var e event.Event
				wantFault(t, x.name, event.Decode(smsSubject, maps.Clone(x.header), []byte(x.payload), &e), x.reason, x.detail)
			}
			if fmt.Sprint(x.header) != before {
				t.Error("Decode has changed the header")
			}
		})
	}
}

// What an error says goes to logs and into headers: the name of the place, never the value.
func TestFaultsQuoteNothing(t *testing.T) {
	const secret = "S3CR3T"
	for _, payload := range []string{
		swap(smsEvent, "MESSAGE_DELIVERED", secret),
		swap(smsEvent, "sms.status.v1", secret),
		swap(smsEvent, "2026", secret),
		swap(smsEvent, "acme", secret),
		swap(smsEvent, "2B67", secret),
		swap(smsEvent, `"m-1"`, `"m-1","to":{"x":"`+secret+`"}`),
		swap(smsEvent, `"m-1"`, secret),
		swap(smsEvent, `"m-1"`, `"m-1","price":{"amount":"`+secret+`","currency":"EUR"}`),
	} {
		var e event.Event
		err := event.Decode(smsSubject, nil, []byte(payload), &e)
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", payload, err)
		}
	}
}
