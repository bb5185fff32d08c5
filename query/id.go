package query

import (
	"unicode"
	"unicode/utf8"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// ValidID reports whether id can be the id of a PIN code or an account: 1 to 256 bytes of
// UTF-8 without control characters, as in events.
func ValidID(id string) bool {
	if id == "" || len(id) > event.MaxIDBytes || !utf8.ValidString(id) {
		return false
	}
	for _, r := range id {
		if unicode.IsControl(r) {
			return false
		}
	}
	return true
}
