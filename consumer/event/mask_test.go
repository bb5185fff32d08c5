package event_test

import (
	"testing"

	"github.com/pinstatus/pinstatus/consumer/event"
)

func TestMaskTo(t *testing.T) {
	for to, want := range map[string]string{
		"":             "",
		"1":            "*",
		"12":           "**",
		"123":          "***",
		"1234":         "*234",
		"+48123456026": "*********026",
		"é漢😀":          "***",
		"éé漢😀x":        "**漢😀x",
		"\xff\xff123":  "**123",
	} {
		if got := event.MaskTo(to); got != want {
			t.Errorf("MaskTo(%q) = %q, want %q", to, got, want)
		}
	}
}
