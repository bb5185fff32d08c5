package config

import (
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"
)

// text reads a text. Numbers, dates and truth values must be quoted: what YAML makes of
// them is not what was written.
func (r *reader) text(n node) string {
	v := resolve(n.value)
	switch tag(v) {
	case "!!str":
		return v.Value
	case "!!int", "!!float", "!!bool", "!!timestamp":
		r.wrong(n, "a text, in quotes")
	default:
		r.wrong(n, "a text")
	}
	return ""
}

func (r *reader) texts(n node, what string) []string {
	items := r.list(n, what)
	all := make([]string, len(items))
	for i, item := range items {
		all[i] = r.text(item)
	}
	return all
}

func (r *reader) truth(n node) bool {
	v := resolve(n.value)
	if tag(v) != "!!bool" {
		r.wrong(n, "true or false")
		return false
	}
	return strings.EqualFold(v.Value, "true")
}

// integer reads a whole number. One that an int32 does not hold is no number that any
// member may have.
func (r *reader) integer(n node) int {
	v := resolve(n.value)
	if tag(v) != "!!int" {
		r.wrong(n, "a whole number")
		return 0
	}
	var i int64
	if err := v.Decode(&i); err != nil || i > math.MaxInt32 || i < math.MinInt32 {
		r.wrong(n, fmt.Sprintf("at most %d", math.MaxInt32))
		return 0
	}
	return int(i)
}

// duration reads a duration as Go writes it.
func (r *reader) duration(n node) time.Duration {
	v := resolve(n.value)
	switch tag(v) {
	case "!!str":
		d, err := time.ParseDuration(v.Value)
		switch {
		case err == nil:
			return d
		case strings.ContainsAny(v.Value, "dw"):
			r.wrong(n, "a duration like 20s, 5m or 1h30m (30 days are 720h)")
		default:
			r.wrong(n, "a duration like 20s, 5m or 1h30m")
		}
	case "!!int", "!!float":
		r.wrong(n, "a duration with its unit, like 20s, 5m or 1h30m")
	default:
		r.wrong(n, "a duration like 20s, 5m or 1h30m")
	}
	return 0
}

// time reads a time of RFC 3339. It need not be quoted: its text is taken as written, and
// not as YAML reads it, which knows dates without a time and times without a zone.
func (r *reader) time(n node) time.Time {
	const must = "a time with its zone, like 2027-03-31T00:00:00Z"
	v := resolve(n.value)
	if t := tag(v); t != "!!str" && t != "!!timestamp" {
		r.wrong(n, must)
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, v.Value)
	if err != nil || at.IsZero() || !rfc3339.MatchString(v.Value) {
		r.wrong(n, must)
		return time.Time{}
	}
	return at.UTC()
}

// rfc3339 is the form of a time. Package time also takes an hour of one digit, and a comma
// before a fraction.
var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$`)

// Nearest is the one of names that s is most likely a misspelling of; empty if none is.
func Nearest(s string, names []string) string {
	best, bound := "", 1+len(s)/4
	for _, name := range names {
		if d := distance(strings.ToLower(s), strings.ToLower(name)); d <= bound {
			best, bound = name, d-1
		}
	}
	return best
}

// distance is the Levenshtein distance of two texts in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := corner
			if a[i] != b[j] {
				change++
			}
			corner = row[j+1]
			row[j+1] = min(change, row[j]+1, corner+1)
		}
	}
	return row[len(b)]
}
