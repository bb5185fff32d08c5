package wire

import (
	"errors"
	"time"
)

// Time is a moment as answers give it: RFC 3339 in UTC, with exactly three decimals. What
// is below a millisecond is cut off.
type Time struct{ time.Time }

const timeLayout = "2006-01-02T15:04:05.000Z"

// MarshalJSON writes the moment. A year that RFC 3339 cannot write is an error.
func (t Time) MarshalJSON() ([]byte, error) {
	if y := t.UTC().Year(); y < 0 || y > 9999 {
		return nil, errors.New("a time outside of the years 0 to 9999")
	}
	b := make([]byte, 0, len(timeLayout)+2)
	b = append(b, '"')
	b = t.UTC().AppendFormat(b, timeLayout)
	return append(b, '"'), nil
}

// UnmarshalJSON reads any time of RFC 3339.
func (t *Time) UnmarshalJSON(b []byte) error { return t.Time.UnmarshalJSON(b) }
