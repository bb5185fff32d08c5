package letters

import (
	"slices"
	"time"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// Filter chooses dead letters: those that every member takes. A member that is empty takes
// all.
type Filter struct {
	Sequences []uint64 // of the events
	Reasons   []event.Reason
	Tenants   []string
	Families  []string
	Since     time.Time // when the broker took the letter, inclusive
	Until     time.Time // likewise, exclusive
}

// Empty reports whether the filter takes every letter.
func (f *Filter) Empty() bool {
	return len(f.Sequences) == 0 && len(f.Reasons) == 0 && len(f.Tenants) == 0 && len(f.Families) == 0 &&
		f.Since.IsZero() && f.Until.IsZero()
}

func (f *Filter) takes(l *Letter) bool {
	return among(f.Sequences, l.Sequence) && among(f.Reasons, l.Reason) &&
		among(f.Tenants, l.Tenant) && among(f.Families, l.Family) &&
		!l.Stored.Before(f.Since) && (f.Until.IsZero() || l.Stored.Before(f.Until))
}

func among[T comparable](wanted []T, v T) bool {
	return len(wanted) == 0 || slices.Contains(wanted, v)
}

// subject is a filter for the broker, which takes at least all letters that f takes.
func (f *Filter) subject() string {
	if token(f.Families) == anyToken && token(f.Tenants) == anyToken {
		return allLetters
	}
	return subjectPrefix + token(f.Families) + "." + token(f.Tenants) + ".*"
}

const anyToken = "*"

// token is the one value wanted, where it can be a token.
func token(wanted []string) string {
	if len(wanted) == 1 && wanted[0] != "" && event.EscapeToken(wanted[0]) == wanted[0] {
		return wanted[0]
	}
	return anyToken
}

// isSubject reports whether the filter for the broker takes no other letters than f.
func (f *Filter) isSubject() bool {
	exact := func(wanted []string) bool { return len(wanted) == 0 || token(wanted) != anyToken }
	rest := *f
	rest.Families, rest.Tenants = nil, nil
	return rest.Empty() && exact(f.Families) && exact(f.Tenants)
}
