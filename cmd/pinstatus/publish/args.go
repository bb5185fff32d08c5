package publish

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/pinstatus/pinstatus/consumer/event"
)

// Args are one event as flags give it. Empty means not given.
type Args struct {
	Type, Tenant, ID, Source, Time, TraceParent string

	PIN, Account             string
	MessageID, CallID        string
	Status, Outcome, PINType string
	Until                    string
	SetPINs                  []string
	Gateway, To, Network     string
	ErrorCode, ErrorText     string
	Price, Device            string
	Duration, Remaining      int64 // negative: not given
}

// Flags defines the flags of an event.
func (a *Args) Flags(f *pflag.FlagSet) {
	f.StringVar(&a.Type, "type", "", "`type` of the event: sms.status, or in full pinstatus.sms.status.v1")
	f.StringVar(&a.Tenant, "tenant", "demo", "`id` of the tenant")
	f.StringVar(&a.ID, "id", "", "`id` of the event; the same with the same source again is a repeat (random)")
	f.StringVar(&a.Source, "source", "pinstatus-publish", "`source` of the event")
	f.StringVar(&a.Time, "time", "", "`time` of the event: RFC 3339, or from now like -10m (now)")
	f.StringVar(&a.TraceParent, "traceparent", "", "W3C trace `context`")
	f.StringVar(&a.PIN, "pin", "", "`id` of the PIN code")
	f.StringVar(&a.Account, "account", "", "`id` of the account")
	f.StringVar(&a.MessageID, "message-id", "1", "`id` of the SMS")
	f.StringVar(&a.CallID, "call-id", "1", "`id` of the call")
	f.StringVar(&a.Status, "status", "", "delivery `status`, like MESSAGE_DELIVERED or PROCESSED")
	f.StringVar(&a.Outcome, "outcome", "", "`outcome` of a check, like VERIFIED or FAILED")
	f.StringVar(&a.PINType, "pin-type", "", "`name` of the account's PIN type, like Parental")
	f.StringVar(&a.Until, "until", "", "end of the lock: RFC 3339 `time`, or from the event's time like 10m")
	f.StringSliceVar(&a.SetPINs, "set-pins", nil, "`names` of the PIN types that are set already")
	f.StringVar(&a.Gateway, "gateway", "", "`name` of the gateway")
	f.StringVar(&a.To, "to", "", "destination `address`; views keep its last three digits")
	f.StringVar(&a.Network, "network", "", "`code` of the mobile network")
	f.StringVar(&a.ErrorCode, "error-code", "", "the gateway's error `code`")
	f.StringVar(&a.ErrorText, "error-text", "", "the gateway's error `text`")
	f.StringVar(&a.Price, "price", "", "`price`, like \"0.045 EUR\"")
	f.StringVar(&a.Device, "device", "", "`name` of the device of an attempt")
	f.Int64Var(&a.Duration, "duration-seconds", event.Absent, "how long the call lasted, in `seconds`")
	f.Int64Var(&a.Remaining, "attempts-remaining", event.Absent, "`number` of attempts that are left for the code")
	for _, name := range []string{"duration-seconds", "attempts-remaining"} {
		f.Lookup(name).DefValue = "0" // help does not show it
	}
}

// form is which flags an event of a type has, beside those of every event.
type form struct {
	required, optional []string
}

var (
	delivery = []string{"account", "gateway", "to", "network", "error-code", "error-text", "price"}
	forms    = map[event.Type]form{
		event.SMSStatus:          {[]string{"pin", "status"}, append([]string{"message-id"}, delivery...)},
		event.VoiceStatus:        {[]string{"pin", "status"}, append([]string{"call-id", "duration-seconds"}, delivery...)},
		event.CodeVerification:   {[]string{"pin", "outcome"}, []string{"attempts-remaining"}},
		event.CodeErased:         {[]string{"pin"}, nil},
		event.Attempt:            {[]string{"account", "pin-type", "outcome"}, []string{"device"}},
		event.PINSet:             {[]string{"account", "pin-type"}, nil},
		event.PINUnset:           {[]string{"account", "pin-type"}, nil},
		event.PINLocked:          {[]string{"account", "pin-type", "until"}, nil},
		event.PINUnlocked:        {[]string{"account", "pin-type"}, nil},
		event.AccountProvisioned: {[]string{"account"}, []string{"set-pins"}},
		event.AccountDeleted:     {[]string{"account"}, nil},
	}
	everyEvent = []string{"type", "tenant", "id", "source", "time", "traceparent"}
)

// own reports whether a flag is one of those that make an event.
func own(flag string) bool {
	return slices.Contains(everyEvent, flag) || slices.ContainsFunc(allTypes(), func(t event.Type) bool {
		return slices.Contains(forms[t].required, flag) || slices.Contains(forms[t].optional, flag)
	})
}

// Event makes the event. given are the names of the flags that were given; each must be
// one that events of the type have.
func (a *Args) Event(now time.Time, given []string) (*event.Event, error) {
	t, err := parseType(a.Type)
	if err != nil {
		return nil, err
	}
	for _, flag := range given {
		if own(flag) && !slices.Contains(slices.Concat(everyEvent, forms[t].required, forms[t].optional), flag) {
			return nil, fmt.Errorf("--%s: events of type %s have none", flag, short(t))
		}
	}
	e := &event.Event{
		Type:              t,
		ID:                a.ID,
		Source:            a.Source,
		Tenant:            a.Tenant,
		Time:              now.UnixNano(),
		TraceParent:       a.TraceParent,
		DurationSeconds:   event.Absent,
		AttemptsRemaining: event.Absent,
	}
	if e.ID == "" {
		e.ID = rand.Text()
	}
	if a.Time != "" {
		if e.Time, err = parseTime(a.Time, now); err != nil {
			return nil, fmt.Errorf("--time: %w", err)
		}
	}
	if err := a.set(e); err != nil {
		return nil, err
	}
	if err := e.Validate(); err != nil {
		return nil, inFlags(err)
	}
	return e, nil
}

// set sets the members of data that the event's type has.
func (a *Args) set(e *event.Event) error {
	values := map[string]struct {
		text string
		into *string
	}{
		"pin":        {a.PIN, &e.Key},
		"account":    {a.Account, &e.Key},
		"message-id": {a.MessageID, &e.EntryID},
		"call-id":    {a.CallID, &e.EntryID},
		"pin-type":   {a.PINType, &e.PINType},
		"gateway":    {a.Gateway, &e.Gateway},
		"to":         {a.To, &e.To},
		"network":    {a.Network, &e.Network},
		"error-code": {a.ErrorCode, &e.ErrorCode},
		"error-text": {a.ErrorText, &e.ErrorText},
		"device":     {a.Device, &e.Device},
	}
	f := forms[e.Type]
	for _, flag := range slices.Concat(f.required, f.optional) {
		var err error
		switch v, plain := values[flag]; {
		case flag == "account" && e.Type.Family().OnCode():
			e.AccountID = a.Account
		case plain:
			*v.into = v.text
			if v.text == "" && slices.Contains(f.required, flag) {
				err = errors.New("is required")
			}
		default:
			err = a.setParsed(e, flag)
		}
		if err != nil {
			return fmt.Errorf("--%s: %w", flag, err)
		}
	}
	return nil
}

// setParsed sets a member that is no plain text.
func (a *Args) setParsed(e *event.Event, flag string) (err error) {
	switch flag {
	case "status":
		e.Status, err = parseStatus(e.Type, a.Status)
	case "outcome":
		e.Outcome, err = parseOutcome(e.Type, a.Outcome)
	case "until":
		e.Until, err = parseTime(a.Until, time.Unix(0, e.Time))
	case "price":
		e.Price, err = parsePrice(a.Price)
	case "set-pins":
		e.SetPINs = a.SetPINs
	case "duration-seconds":
		e.DurationSeconds = a.Duration
	case "attempts-remaining":
		e.AttemptsRemaining = a.Remaining
	}
	return err
}

// inFlags names the flag of the member that an event's fault lies in.
func inFlags(err error) error {
	var fault *event.Error
	if !errors.As(err, &fault) {
		return err
	}
	flag, ok := map[string]string{
		"id": "id", "source": "source", "time": "time", "tenant": "tenant", "traceparent": "traceparent",
		"data.pinId": "pin", "data.accountId": "account", "data.messageId": "message-id", "data.callId": "call-id",
		"data.gateway": "gateway", "data.to": "to", "data.network": "network", "data.errorCode": "error-code",
		"data.errorText": "error-text", "data.price.amount": "price", "data.price.currency": "price",
		"data.durationSeconds": "duration-seconds", "data.attemptsRemaining": "attempts-remaining",
		"data.device": "device", "data.pinType": "pin-type", "data.until": "until", "data.setPins": "set-pins",
	}[fault.Detail]
	if !ok {
		return err
	}
	return fmt.Errorf("--%s: not a value that the event contract allows (%w)", flag, fault)
}

func short(t event.Type) string {
	return strings.TrimSuffix(strings.TrimPrefix(t.String(), "pinstatus."), ".v1")
}
