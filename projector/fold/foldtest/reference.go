package foldtest

import (
	"slices"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/view"
)

// Reference folds the events of any number of keys. The zero Reference has seen nothing.
type Reference struct {
	codes    map[view.Key]*Code
	accounts map[view.Key]*Account
}

// Fold folds the next event in stream order under the policy of its tenant.
func (r *Reference) Fold(in fold.Input, t *fold.Tenant) fold.Outcome {
	k := view.Key{Kind: view.KindAccount, Tenant: in.Event.Tenant, ID: in.Event.Key}
	if in.Event.Type.Family().OnCode() {
		k.Kind = view.KindPIN
		if r.codes == nil {
			r.codes = map[view.Key]*Code{}
		}
		if r.codes[k] == nil {
			r.codes[k] = &Code{}
		}
		return r.codes[k].Fold(in, t)
	}
	if r.accounts == nil {
		r.accounts = map[view.Key]*Account{}
	}
	if r.accounts[k] == nil {
		r.accounts[k] = &Account{}
	}
	return r.accounts[k].Fold(in, t)
}

// Delivery is the view of a PIN code; that of a code without events is the zero Code's.
func (r *Reference) Delivery(tenant, pinID string) view.Delivery {
	c := r.codes[view.Key{Kind: view.KindPIN, Tenant: tenant, ID: pinID}]
	if c == nil {
		c = &Code{}
	}
	return c.View()
}

// Account is the view of an account; that of an account without events is the zero
// Account's.
func (r *Reference) Account(tenant, accountID string) view.Account {
	a := r.accounts[view.Key{Kind: view.KindAccount, Tenant: tenant, ID: accountID}]
	if a == nil {
		a = &Account{}
	}
	return a.View()
}

// Keys are the keys of all views, in no order.
func (r *Reference) Keys() []view.Key {
	var keys []view.Key
	for k := range r.codes {
		keys = append(keys, k)
	}
	for k := range r.accounts {
		keys = append(keys, k)
	}
	return keys
}

// known is an event that its key has taken, with what was decided on its arrival.
type known struct {
	event.Event
	at       int64 // effective time
	received int64
}

// effectiveTime is the event's time, but never later than its first copy's receipt plus
// the clock skew.
func effectiveTime(in fold.Input, t *fold.Tenant) int64 {
	return min(in.Event.Time, in.Received+int64(t.MaxClockSkew))
}

// sameID reports whether two events are copies of one, by their id and source.
func sameID(a, b *event.Event) bool { return a.ID == b.ID && a.Source == b.Source }

// sameContent reports whether two copies say the same; their traces may differ.
func sameContent(a, b *event.Event) bool { return content(a) == content(b) }

// contents are an event's members as they are kept, which of To is what MaskTo leaves, and
// in a form that can be compared.
type contents struct {
	typ                           event.Type
	time                          int64
	entry                         string
	status                        event.Status
	account, gateway, to, network string
	errorCode, errorText          string
	price                         event.Price
	duration                      int64
	outcome                       event.Outcome
	remaining                     int64
	device, pinType               string
	until                         int64
	setPINs                       string
}

func content(e *event.Event) contents {
	c := contents{
		typ: e.Type, time: e.Time, entry: e.EntryID, status: e.Status,
		account: e.AccountID, gateway: e.Gateway, to: event.MaskTo(e.To), network: e.Network,
		errorCode: e.ErrorCode, errorText: e.ErrorText, price: e.Price, duration: e.DurationSeconds,
		outcome: e.Outcome, remaining: e.AttemptsRemaining, device: e.Device,
		pinType: e.PINType, until: e.Until,
	}
	for _, p := range slices.Sorted(slices.Values(e.SetPINs)) {
		c.setPINs += p + "\x00"
	}
	return c
}
