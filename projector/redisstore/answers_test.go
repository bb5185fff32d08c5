package redisstore

import (
	"math"
	"testing"
)

func TestRemaining(t *testing.T) {
	for _, test := range []struct {
		pttl any
		want int64
	}{
		{int64(-2), 0}, // no key
		{int64(-1), 0}, // no expiry
		{int64(0), 1},  // less than a millisecond
		{int64(1), 1},
		{int64(20_000), 20_000},
		{int64(math.MaxInt64), math.MaxInt64},
		{nil, 0},
	} {
		if got := remaining(test.pttl); got != test.want {
			t.Errorf("PTTL %v: %d ms left, want %d", test.pttl, got, test.want)
		}
	}
}

func TestParseTime(t *testing.T) {
	for _, test := range []struct {
		seconds, micros any
		want            int64 // -1 for an error
	}{
		{"0", "0", 0},
		{"1795255200", "120456", 1_795_255_200_120_456_000},
		{"1", "999999", 1_999_999_000},
		{"", "1", -1},
		{"1", "x", -1},
		{nil, "1", -1},
		{"1", int64(1), -1},
	} {
		got, err := parseTime(test.seconds, test.micros)
		if err != nil {
			got = -1
		}
		if got != test.want {
			t.Errorf("TIME %v %v = %d, want %d", test.seconds, test.micros, got, test.want)
		}
	}
}
