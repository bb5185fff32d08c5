package event_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// jsonTexts are values, and what only looks like one. Which is which encoding/json says.
var jsonTexts = []string{
	`null`, `nul`, `nulll`, `Null`, `true`, `tru`, `false`, `fals`, `truefalse`, ``, ` `, `,`, `:`, `]`, `}`, `"`, `'a'`, `/**/1`,
	`0`, `-0`, `00`, `01`, `-`, `--1`, `+1`, `1`, `12`, `1.`, `.1`, `1.0`, `-1.5`, `1.5.5`, `1e`, `1e1`, `1E+1`, `1e-`, `1e-07`, `1e1.5`, `0x1`, `1_0`, `Infinity`, `NaN`, `0e0`, `-0.0e-0`, `1 2`,
	`""`, `"a"`, `"a`, `a"`, `"\"`, `"\\"`, `"\""`, `"\/"`, `"\b\f\n\r\t"`, `"\a"`, `"\'"`, `"\x41"`, `"\u0041"`, `"\u00e"`, `"\u00g0"`, `"\U0041"`, `"\u"`, `"\ud800"`, `"\ud83d\ude00"`, `"\`,
	"\"\t\"", "\"\n\"", "\"\x00\"", "\"1234567\x1f\"", "\"\x7f\"", `"12345678"`, `"1234567890123456"`, `"1234567\"0"`, `"12345678\n"`, `"é漢😀"`, "\"\u2028\"",
	`[]`, `[`, `[ ]`, `[1]`, `[1,]`, `[,1]`, `[1,,2]`, `[1 2]`, `[1,2]`, `[[]]`, `[[],[]]`, `[[]`, `[]]`, `[}`, `[1}`, `[{}]`, `[{},{"a":[]}]`, `["a":1]`, `[null,true,false,"",0,{},[]]`,
	`{}`, `{`, `{ }`, `{"a":1}`, `{"a":1,}`, `{,"a":1}`, `{"a"}`, `{"a":}`, `{"a" 1}`, `{"a":1 "b":2}`, `{"a":1,"b":2}`, `{"a":1,"a":2}`, `{a:1}`, `{'a':1}`, `{1:1}`, `{"a":{"b":{"c":[{"d":1}]}}}`, `{"a":1]`, `{"a":[}`, `{"a":[1,{"b":2}],"c":{}}`, `{"":""}`, `{"a":1}}`, `{"a"::1}`, `{"a\":1}`, `{"\u0061":1}`, `{"\q":1}`, `{null:1}`,
	"\t[\r\n1 ,\t2 ]\n", "{\n\"a\" :\r1\t, \"b\":2 }", "\v1", "\u00a01", "\ufeff1", "1\x00",
}

// A text is taken in an event, in every place, exactly if encoding/json takes it.
func TestJSONIsWhatEncodingJSONTakes(t *testing.T) {
	places := map[string]func(string) string{
		"attribute": func(s string) string { return swap(smsEvent, `"id"`, `"x":`+s+`,"id"`) },
		"member":    func(s string) string { return swap(smsEvent, `"pinId"`, `"x":`+s+`,"pinId"`) },
		"last":      func(s string) string { return swap(smsEvent, `"}}`, `","x":`+s+`}}`) },
		"other":     func(s string) string { return swap(smsEvent, `"pinId"`, `"device":`+s+`,"pinId"`) },
		"behind":    func(s string) string { return smsEvent + s },
		"price": func(s string) string {
			return swap(smsEvent, `"pinId"`, `"price":{"amount":"1","currency":"EUR","x":`+s+`},"pinId"`)
		},
	}
	for place, in := range places {
		for _, text := range jsonTexts {
			payload := in(text)
			var e event.Event
			err := event.Decode(smsSubject, nil, []byte(payload), &e)
			if want := json.Valid([]byte(payload)); (err == nil) != want {
				t.Errorf("%s %q: %v; valid to encoding/json: %v", place, text, err, want)
			}
		}
	}
}

func TestTextsThatAreCutOff(t *testing.T) {
	for _, x := range examples() {
		payload := x.event.AppendStructured(nil)
		for i := range payload {
			var e event.Event
			if err := event.Decode(x.event.Subject(), nil, payload[:i], &e); err == nil {
				t.Errorf("%s: the first %d of %d bytes are taken", x.name, i, len(payload))
			}
		}
	}
}

// However an event is damaged: what Decode takes, encoding/json takes, with the same values.
func TestDecodeAgreesWithEncodingJSON(t *testing.T) {
	all := examples()
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.SampledFrom(all).Draw(t, "example")
		payload := x.event.AppendStructured(nil)
		for range rapid.IntRange(0, 3).Draw(t, "changes") {
			i := rapid.IntRange(0, len(payload)-1).Draw(t, "at")
			switch rapid.IntRange(0, 2).Draw(t, "change") {
			case 0:
				payload[i] = rapid.SampledFrom([]byte("{}[],:\"\\ 0aue.-\n\x00\x80")).Draw(t, "byte")
			case 1:
				payload = append(payload[:i:i], payload[i+1:]...)
			default:
				more := rapid.SampledFrom(append(jsonTexts, `"id":"x",`, `\u0041`, `\ud83d`)).Draw(t, "text")
				payload = append(payload[:i:i], append([]byte(more), payload[i:]...)...)
			}
		}
		checkAgainstEncodingJSON(t, x.event.Subject(), payload)
	})
}

// checkAgainstEncodingJSON holds Decode to encoding/json on a structured event.
func checkAgainstEncodingJSON(t rapid.TB, subject string, payload []byte) {
	t.Helper()
	var e event.Event
	if event.Decode(subject, nil, payload, &e) != nil {
		return
	}
	if !utf8.Valid(payload) {
		t.Fatalf("not UTF-8, and taken: %q", payload)
	}
	var got struct {
		SpecVersion, ID, Source, Type, Time, Tenant string
		Data                                        map[string]any
		DataBase64                                  []byte `json:"data_base64"`
	}
	d := json.NewDecoder(bytes.NewReader(onlyExactNames(t, payload)))
	d.UseNumber()
	if err := d.Decode(&got); err != nil {
		t.Fatalf("encoding/json: %v: %q", err, payload)
	}
	if got.DataBase64 != nil {
		if err := json.Unmarshal(got.DataBase64, &got.Data); err != nil {
			t.Fatalf("encoding/json: %v: %q", err, got.DataBase64)
		}
	}
	text := func(name string) string { s, _ := got.Data[name].(string); return s }
	key, entry := "accountId", "messageId"
	if e.Type.Family().OnCode() {
		key = "pinId"
	}
	if e.Type == event.VoiceStatus {
		entry = "callId"
	}
	want := map[string]string{
		"specversion": "1.0", "id": e.ID, "source": e.Source, "type": e.Type.String(), "tenant": e.Tenant, key: e.Key,
	}
	have := map[string]string{
		"specversion": got.SpecVersion, "id": got.ID, "source": got.Source, "type": got.Type, "tenant": got.Tenant, key: text(key),
	}
	for name, s := range map[string]string{
		"gateway": e.Gateway, "to": e.To, "network": e.Network, "errorCode": e.ErrorCode, "errorText": e.ErrorText,
		entry: e.EntryID, "status": e.Status.String(), "outcome": e.Outcome.String(), "pinType": e.PINType, "device": e.Device,
	} {
		if s != "" {
			want[name], have[name] = s, text(name)[:min(len(text(name)), event.MaxTextBytes)]
		}
	}
	if diff := cmp.Diff(have, want); diff != "" {
		t.Fatalf("%q (-encoding/json +Decode):\n%s", payload, diff)
	}
}

// onlyExactNames leaves out members whose names encoding/json would take for others: it
// folds case.
func onlyExactNames(t rapid.TB, payload []byte) []byte {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal(payload, &members); err != nil {
		t.Fatalf("encoding/json: %v: %q", err, payload)
	}
	for name := range members {
		if name != strings.ToLower(name) {
			delete(members, name)
		}
	}
	b, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
