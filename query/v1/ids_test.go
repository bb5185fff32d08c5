package v1

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// list is a body that asks for so many ids.
func list(n int) string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf(`"i%d"`, i)
	}
	return `{"ids":[` + strings.Join(ids, ",") + `]}`
}

func TestParseIDs(t *testing.T) {
	for _, tc := range []struct {
		name string
		body string
		want []string
	}{
		{"one", `{"ids":["a"]}`, []string{"a"}},
		{"twice, with spaces", " {\t\"ids\" : [ \"a\" ,\n\"b\", \"a\" ] } \r\n", []string{"a", "b", "a"}},
		{"escaped", `{"\u0069ds":["a\/b\u00e9\ud83d\ude00\"\\","é😀"]}`, []string{`a/bé😀"\`, "é😀"}},
		{"the replacement character itself", `{"ids":["�","\ufffd"]}`, []string{"\ufffd", "\ufffd"}},
		{"what is no id", `{"ids":["","\u0000"]}`, []string{"", "\x00"}},
	} {
		got, err := parseIDs([]byte(tc.body))
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		if d := cmp.Diff(tc.want, got); d != "" {
			t.Errorf("%s: %s", tc.name, d)
		}
	}
	if ids, err := parseIDs([]byte(list(500))); err != nil || len(ids) != 500 || ids[499] != "i499" {
		t.Errorf("500: %d, %v", len(ids), err)
	}
}

func TestParseIDsRefuses(t *testing.T) {
	for _, tc := range []struct {
		name string
		body string
		want string
	}{
		{"nothing", ``, "ends too early"},
		{"spaces", `  `, "ends too early"},
		{"null", `null`, "not an object"},
		{"list", `["a"]`, "not an object"},
		{"string", `"a"`, "not an object"},
		{"no JSON", `ids=a`, "not JSON near byte 0"},
		{"byte order mark", "\ufeff" + `{"ids":["a"]}`, "not JSON near byte 0"},
		{"empty object", `{}`, "ids: missing"},
		{"no ids", `{"ids":[]}`, "ids: none given"},
		{"null ids", `{"ids":null}`, "ids: not a list"},
		{"an id for the list", `{"ids":"a"}`, "ids: not a list"},
		{"too many", list(501), "ids: more than 500"},
		{"twice", `{"ids":["a"],"ids":["b"]}`, "ids: given twice"},
		{"twice, first empty", `{"ids":[],"ids":["b"]}`, "ids: none given"},
		{"unknown", `{"ids":["a"],"wait":1}`, `unknown member "wait"`},
		{"unknown first", `{"wait":{"ids":[]},"ids":["a"]}`, `unknown member "wait"`},
		{"another spelling", `{"Ids":["a"]}`, `unknown member "Ids"`},
		{"a long name", `{"` + strings.Repeat("é", 50) + `":1}`, `unknown member "` + strings.Repeat("é", 32) + `…"`},
		{"a nasty name", `{"a\u0000\n":1}`, `unknown member "a\x00\n"`},
		{"number", `{"ids":["a","b",3]}`, "ids[2]: not a string of Unicode"},
		{"null id", `{"ids":[null]}`, "ids[0]: not a string of Unicode"},
		{"list of lists", `{"ids":["a",["b"]]}`, "ids[1]: not a string of Unicode"},
		{"half a pair", `{"ids":["\ud83d"]}`, "ids[0]: not a string of Unicode"},
		{"half a pair before text", `{"ids":["\ud83dx"]}`, "ids[0]: not a string of Unicode"},
		{"half a pair before an escape", `{"ids":["\ud83d\n"]}`, "ids[0]: not a string of Unicode"},
		{"two first halves", `{"ids":["\ud83d\ud83d\ude00"]}`, "ids[0]: not a string of Unicode"},
		{"second half", `{"ids":["a","x\ude00"]}`, "ids[1]: not a string of Unicode"},
		{"not UTF-8", "{\"ids\":[\"\xff\"]}", "not UTF-8"},
		{"cut off", `{"ids":["a"`, "ends too early"},
		{"cut off in an id", `{"ids":["a`, "ends too early"},
		{"cut off at the end", `{"ids":["a"]`, "ends too early"},
		{"comma at the end", `{"ids":["a",]}`, "not JSON near byte 12"},
		{"no comma", `{"ids":["a" "b"]}`, "not JSON near byte 12"},
		{"comma behind the member", `{"ids":["a"],}`, "not JSON near byte 13"},
		{"line end in an id", "{\"ids\":[\"a\n\"]}", "not JSON near byte 8"},
		{"more", `{"ids":["a"]} x`, "more text behind the object"},
		{"another object", `{"ids":["a"]}{"ids":["b"]}`, "more text behind the object"},
		{"deep", `{"ids":[` + strings.Repeat("[", 20_000), "not JSON near byte 8"},
	} {
		_, err := parseIDs([]byte(tc.body))
		var refused *refusal
		if !errors.As(err, &refused) || refused.code != 400 {
			t.Errorf("%s: %v; want a refusal", tc.name, err)
			continue
		}
		if d := cmp.Diff("The request's body: "+tc.want+".", refused.detail); d != "" {
			t.Errorf("%s: %s", tc.name, d)
		}
	}
}

// Whatever is taken is what encoding/json reads.
func FuzzParseIDs(f *testing.F) {
	f.Add([]byte(`{"ids":["a","\ud83d\ude00"]}`))
	f.Add([]byte(`{"ids":["a"],"ids":[]} x`))
	f.Fuzz(func(t *testing.T, body []byte) {
		ids, err := parseIDs(body)
		if err != nil {
			return
		}
		var want struct{ IDs []string }
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want.IDs, ids); d != "" {
			t.Error(d)
		}
	})
}
