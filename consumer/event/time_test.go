package event

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseTime(t *testing.T) {
	for s, want := range map[string]string{ // in UTC; empty for none
		"2026-11-21T10:00:04Z":               "2026-11-21T10:00:04Z",
		"2026-11-21t10:00:04z":               "2026-11-21T10:00:04Z",
		"2026-11-21T10:00:04.1Z":             "2026-11-21T10:00:04.1Z",
		"2026-11-21T10:00:04.123456789Z":     "2026-11-21T10:00:04.123456789Z",
		"2026-11-21T10:00:04.1234567899999Z": "2026-11-21T10:00:04.123456789Z",
		"2026-11-21T10:00:04+01:00":          "2026-11-21T09:00:04Z",
		"2026-11-21T10:00:04.5-23:59":        "2026-11-22T09:59:04.5Z",
		"2026-11-21T10:00:04-00:00":          "2026-11-21T10:00:04Z",
		"2024-02-29T00:00:00Z":               "2024-02-29T00:00:00Z",
		"2000-02-29T00:00:00Z":               "2000-02-29T00:00:00Z",
		"1970-01-01T00:00:00.000000001Z":     "1970-01-01T00:00:00.000000001Z",
		"1969-12-31T23:30:00-01:00":          "1970-01-01T00:30:00Z",
		"2261-12-31T23:59:59.999999999Z":     "2261-12-31T23:59:59.999999999Z",
		"2262-01-01T00:30:00+01:00":          "2261-12-31T23:30:00Z",
		"2016-12-31T23:59:60Z":               "2017-01-01T00:00:00Z",
		"2016-12-31T23:59:60.5Z":             "2017-01-01T00:00:00.5Z",
		"2017-01-01T05:29:60+05:30":          "2017-01-01T00:00:00Z",
		"2015-06-30T19:59:60-04:00":          "2015-07-01T00:00:00Z",
		"2016-12-31T23:58:60Z":               "",
		"2016-12-30T23:59:60Z":               "",
		"2016-12-31T23:59:61Z":               "",
		"2261-12-31T23:59:60Z":               "",
		"1970-01-01T00:00:00Z":               "",
		"1970-01-01T00:30:00+01:00":          "",
		"1969-12-31T23:59:59Z":               "",
		"2262-01-01T00:00:00Z":               "",
		"9999-12-31T23:59:59Z":               "",
		"0000-01-01T00:00:00Z":               "",
		"":                                   "",
		"2026-11-21":                         "",
		"2026-11-21T10:00Z":                  "",
		"2026-11-21T10:00:04":                "",
		"2026-11-21T10:00:04.123":            "",
		"2026-11-21T10:00:04.":               "",
		"2026-11-21T10:00:04.Z":              "",
		"2026-11-21T10:00:04,5Z":             "",
		"2026-11-21 10:00:04Z":               "",
		"2026-11-21T10:00:04 Z":              "",
		"2026-11-21T10:00:04Zx":              "",
		"2026-11-21T10:00:04+01":             "",
		"2026-11-21T10:00:04+0100":           "",
		"2026-11-21T10:00:04+01-00":          "",
		"2026-11-21T10:00:04*01:00":          "",
		"2026-11-21T10:00:04+24:00":          "",
		"2026-11-21T10:00:04+01:60":          "",
		"2026-11-21T10:00:04+0a:00":          "",
		"2026-11-21T10:00:04+00:a0":          "",
		"2026-11-21T24:00:00Z":               "",
		"2026-11-21T10:60:00Z":               "",
		"2026-11-00T10:00:00Z":               "",
		"2026-11-31T10:00:00Z":               "",
		"2026-00-01T10:00:00Z":               "",
		"2026-13-01T10:00:00Z":               "",
		"2026-02-29T10:00:00Z":               "",
		"2100-02-29T10:00:00Z":               "",
		"2024-02-30T10:00:00Z":               "",
		"20a6-11-21T10:00:04Z":               "",
		"2026-1a-21T10:00:04Z":               "",
		"2026-11-2aT10:00:04Z":               "",
		"2026-11-21Ta0:00:04Z":               "",
		"2026-11-21T10:0:004Z":               "",
		"2026-11-21T10:00:/4Z":               "",
		"2026/11/21T10:00:04Z":               "",
		"2026-11-21T10-00-04Z":               "",
	} {
		got, ok := parseTime(s)
		if !ok {
			if want != "" {
				t.Errorf("%s: refused, want %s", s, want)
			}
			continue
		}
		if text := string(appendTime(nil, got)); text != want {
			t.Errorf("%s: %s, want %q", s, text, want)
		}
	}
}

func TestLatestTime(t *testing.T) {
	if want := time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano() - 1; maxTime != want {
		t.Errorf("the latest time is %d, want %d", maxTime, want)
	}
}

// Every instant in every zone is read as the time package reads it, and comes back from
// appendTime.
func TestParseTimeAgreesWithTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nanos := rapid.Int64Range(1, maxTime).Draw(t, "nanos")
		if rapid.Bool().Draw(t, "whole") {
			nanos = max(nanos/1e9, 1) * 1e9
		}
		zone := time.FixedZone("", 60*rapid.IntRange(-23*60-59, 23*60+59).Draw(t, "zone"))
		s := time.Unix(0, nanos).In(zone).Format(time.RFC3339Nano)
		if got, ok := parseTime(s); !ok || got != nanos {
			t.Fatalf("%s: %d, %v, want %d", s, got, ok, nanos)
		}
		if got, ok := parseTime(string(appendTime(nil, nanos))); !ok || got != nanos {
			t.Fatalf("%d comes back as %d, %v", nanos, got, ok)
		}
	})
}

// No text is taken that the time package refuses, leap seconds aside,
// and none is read differently.
func TestParseTimeTakesNoMoreThanTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`(19[67]|20[0-2]|22[56])[0-9]-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-5][0-9]([.,][0-9]{0,12})?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])`).Draw(t, "s")
		got, ok := parseTime(s)
		want, err := time.Parse(time.RFC3339Nano, upperTZ(s))
		inRange := err == nil && want.Year() < 2263 && validTime(want.UnixNano()) && want.Unix() >= 0
		comma := len(s) > 19 && s[19] == ','
		if ok != (inRange && !comma && s[10] != ' ') {
			t.Fatalf("%s: taken %v; the time package says %v, %v", s, ok, want, err)
		}
		if ok && got != want.UnixNano() {
			t.Fatalf("%s: %d, want %d", s, got, want.UnixNano())
		}
	})
}

// upperTZ writes T and Z as the time package wants them.
func upperTZ(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c == 't' || c == 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}
