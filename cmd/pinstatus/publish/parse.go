package publish

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// allTypes are the event types in the order of the contract.
func allTypes() []event.Type {
	var all []event.Type
	for t := event.SMSStatus; t <= event.AccountDeleted; t++ {
		all = append(all, t)
	}
	return all
}

// parseType takes a type's full name, or it without what all names have in common.
func parseType(name string) (event.Type, error) {
	for _, t := range allTypes() {
		if name == t.String() || name == short(t) {
			return t, nil
		}
	}
	if name == "" {
		return 0, errors.New("--type: is required: " + typeNames())
	}
	return 0, fmt.Errorf("--type: no such event type %q: there are %s", name, typeNames())
}

func typeNames() string {
	var names []string
	for _, t := range allTypes() {
		names = append(names, short(t))
	}
	return strings.Join(names, ", ")
}

func parseStatus(t event.Type, name string) (event.Status, error) {
	channel := event.SMS
	if t == event.VoiceStatus {
		channel = event.Voice
	}
	if s, ok := event.ParseStatus(channel, name); ok {
		return s, nil
	}
	return 0, oneOf(name, statusNames(channel))
}

func statusNames(c event.Channel) (names []string) {
	for s := event.Status(1); s != 0; s++ {
		if s.Valid() && s.Channel() == c {
			names = append(names, s.String())
		}
	}
	return names
}

func parseOutcome(t event.Type, name string) (event.Outcome, error) {
	if o, ok := event.ParseOutcome(t, name); ok {
		return o, nil
	}
	return 0, oneOf(name, outcomeNames(t))
}

func outcomeNames(t event.Type) (names []string) {
	for o := event.Verified; o <= event.Failed; o++ {
		if _, ok := event.ParseOutcome(t, o.String()); ok {
			names = append(names, o.String())
		}
	}
	return names
}

// listed are the names that the status or outcome of an event of a type can have.
func listed(t event.Type) []string {
	switch t {
	case event.SMSStatus:
		return statusNames(event.SMS)
	case event.VoiceStatus:
		return statusNames(event.Voice)
	}
	return outcomeNames(t)
}

func oneOf(name string, names []string) error {
	if name == "" {
		return errors.New("is required: one of " + strings.Join(names, ", "))
	}
	return fmt.Errorf("%q is none of %s", name, strings.Join(names, ", "))
}

// parseTime takes a time in RFC 3339, or a duration from another time.
func parseTime(s string, from time.Time) (int64, error) {
	if s == "" {
		return 0, errors.New("is required")
	}
	if d, err := time.ParseDuration(s); err == nil {
		return from.Add(d).UnixNano(), nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return 0, fmt.Errorf("%q is neither a time like 2026-11-21T10:00:00Z nor a duration like 10m", s)
	}
	return t.UnixNano(), nil
}

func parsePrice(s string) (event.Price, error) {
	if s == "" {
		return event.Price{}, nil
	}
	amount, currency, ok := strings.Cut(s, " ")
	if !ok {
		return event.Price{}, fmt.Errorf("%q is not an amount and a currency, like \"0.045 EUR\"", s)
	}
	return event.Price{Amount: amount, Currency: currency}, nil
}
