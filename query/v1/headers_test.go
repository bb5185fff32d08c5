package v1

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPreference(t *testing.T) {
	for _, tc := range []struct {
		headers []string
		value   string
		given   bool
		bad     bool
	}{
		{headers: nil},
		{headers: []string{""}},
		{headers: []string{"wait=10"}, value: "10", given: true},
		{headers: []string{"Wait = 10"}, value: "10", given: true},
		{headers: []string{`wait="10"`}, value: "10", given: true},
		{headers: []string{`wait="1\0"`}, value: "10", given: true},
		{headers: []string{"wait"}, given: true},
		{headers: []string{"wait="}, bad: true},
		{headers: []string{`wait=""`}, given: true},
		{headers: []string{"respond-async, wait=10"}, value: "10", given: true},
		{headers: []string{"respond-async", "wait=10"}, value: "10", given: true},
		{headers: []string{"wait=10; a=b;c ; d=\"e,;\\\"\" ;, return=minimal"}, value: "10", given: true},
		{headers: []string{`foo; wait=3, bar="wait=4, wait=5",wait=10`}, value: "10", given: true},
		{headers: []string{"wait=10, wait=20", "wait=30"}, value: "10", given: true},
		{headers: []string{",, wait=10 , ,"}, value: "10", given: true},
		{headers: []string{"waiting=10"}},
		{headers: []string{"wait=10 20"}, bad: true},
		{headers: []string{"wait 10"}, bad: true},
		{headers: []string{`wait="10`}, bad: true},
		{headers: []string{`wait="10\`}, bad: true},
		{headers: []string{"=10"}, bad: true},
		{headers: []string{"wait=10; =x"}, bad: true},
		{headers: []string{"wait=10", `foo="`}, bad: true},
		{headers: []string{"wait=ü"}, bad: true},
	} {
		value, given, ok := preference(tc.headers, "wait")
		if value != tc.value || given != tc.given || ok == tc.bad {
			t.Errorf("%q: %q, given %t, ok %t; want %q, %t, %t", tc.headers, value, given, ok, tc.value, tc.given, !tc.bad)
		}
	}
}

func FuzzPreference(f *testing.F) {
	f.Add(`respond-async, wait=10; a="b\"", return=minimal`)
	f.Add(`wait=`)
	f.Fuzz(func(t *testing.T, header string) {
		value, given, ok := preference([]string{header}, "wait")
		if (!given || !ok) && value != "" {
			t.Errorf("%q: %q of nothing", header, value)
		}
		if given && !strings.Contains(strings.ToLower(header), "wait") {
			t.Errorf("%q: given", header)
		}
	})
}

const (
	sum  = "00112233445566778899aabbccddeeff"
	sum2 = "ffeeddccbbaa99887766554433221100"
)

func tag(t *testing.T, s string) etag {
	t.Helper()
	e, ok := parseETag(s)
	if !ok {
		t.Fatalf("%s: no tag", s)
	}
	return e
}

func TestParseETag(t *testing.T) {
	for _, s := range []string{"0-" + sum, "1042-" + sum2, "18446744073709551615-" + sum} {
		e := tag(t, s)
		if got := string(e.append(nil)); got != s {
			t.Errorf("%s reads as %s", s, got)
		}
		if got := e.header(); got != `"`+s+`"` {
			t.Errorf("%s as a header: %s", s, got)
		}
	}
	for _, s := range []string{
		"", "-", "1", "gone", "1-", "-" + sum, "01-" + sum, "+1-" + sum, "1-" + sum[1:], "1-" + sum + "0", "1-" + strings.ToUpper(sum),
		"18446744073709551616-" + sum, `"1-` + sum + `"`, "1-" + sum + "-gzip", "1-" + sum[1:] + "g", " 1-" + sum,
	} {
		if e, ok := parseETag(s); ok {
			t.Errorf("%q reads as %s", s, e.header())
		}
	}
}

func TestParseMatch(t *testing.T) {
	a, b := `"7-`+sum+`"`, `"12-`+sum2+`"`
	tagA, tagB := tag(t, strings.Trim(a, `"`)), tag(t, strings.Trim(b, `"`))
	for _, tc := range []struct {
		headers []string
		want    match
		bad     bool
	}{
		{headers: nil},
		{headers: []string{""}, want: match{given: true}},
		{headers: []string{"*"}, want: match{given: true, any: true}},
		{headers: []string{a}, want: match{given: true, tags: []etag{tagA}}},
		{headers: []string{"W/" + a}, want: match{given: true, tags: []etag{tagA}}},
		{headers: []string{a + "," + b}, want: match{given: true, tags: []etag{tagA, tagB}}},
		{headers: []string{` , "x,y" ,W/` + b + " ,\t" + a + ","}, want: match{given: true, tags: []etag{tagB, tagA}}},
		{headers: []string{a, b}, want: match{given: true, tags: []etag{tagA, tagB}}},
		{headers: []string{`""`}, want: match{given: true}},
		{headers: []string{"\"\xff\""}, want: match{given: true}},
		{headers: []string{"7-" + sum}, bad: true},
		{headers: []string{"w/" + a}, bad: true},
		{headers: []string{"W/ " + a}, bad: true},
		{headers: []string{a + b}, bad: true},
		{headers: []string{a + " " + b}, bad: true},
		{headers: []string{a + ", *"}, bad: true},
		{headers: []string{"*, " + a}, bad: true},
		{headers: []string{"*", a}, bad: true},
		{headers: []string{`"a b"`}, bad: true},
		{headers: []string{`"a`}, bad: true},
	} {
		got, ok := parseMatch(tc.headers)
		if ok == tc.bad {
			t.Errorf("%q: ok %t", tc.headers, ok)
			continue
		}
		if d := cmp.Diff(tc.want, got, cmp.AllowUnexported(match{}, etag{})); d != "" {
			t.Errorf("%q: %s", tc.headers, d)
		}
	}
	both := match{tags: []etag{tagB, tagA}}
	if got := both.newest(); got != tagB {
		t.Errorf("newest %v", got)
	}
}

func FuzzParseMatch(f *testing.F) {
	f.Add(`W/"7-` + sum + `", "x"`)
	f.Add(`*`)
	f.Fuzz(func(t *testing.T, header string) {
		m, ok := parseMatch([]string{header})
		if !ok {
			return
		}
		var again []string
		for _, tag := range m.tags {
			again = append(again, tag.header())
		}
		if len(again) == 0 {
			return
		}
		second, ok := parseMatch([]string{strings.Join(again, ",")})
		if d := cmp.Diff(m, second, cmp.AllowUnexported(match{}, etag{})); !ok || d != "" {
			t.Errorf("%q, read again: %s", header, d)
		}
	})
}
