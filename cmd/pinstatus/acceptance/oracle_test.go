package acceptance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/fold/foldtest"
	"github.com/pinstatus/pinstatus/projector/view"
)

// oracle knows what has to be answered: it is the reference fold of all that a stream
// holds.
type oracle struct {
	config    *config
	reference foldtest.Reference
	letters   map[uint64]event.Reason // that have to be dead letters, by sequence
	last      uint64                  // sequence
}

func newOracle(tb testing.TB, c *config, messages []stored) *oracle {
	tb.Helper()
	o := &oracle{config: c, letters: map[uint64]event.Reason{}}
	policies := map[string]*fold.Tenant{}
	for _, t := range c.tenants {
		policies[t.ID] = c.policy(tb, t.ID)
	}
	for _, m := range messages {
		o.last = m.sequence
		e := new(event.Event)
		var bad *event.Error
		if err := event.Decode(m.subject, m.header, m.payload, e); errors.As(err, &bad) {
			o.letters[m.sequence] = bad.Reason
			continue
		}
		policy := policies[e.Tenant]
		if policy == nil {
			o.letters[m.sequence] = event.ReasonUnknownTenant
			continue
		}
		if unknownPINType(policy, e) {
			o.letters[m.sequence] = event.ReasonUnknownPINType
			continue
		}
		outcome := o.reference.Fold(fold.Input{Event: e, Sequence: m.sequence, Received: m.received}, policy)
		if reason := outcome.Rejected(); reason != "" {
			o.letters[m.sequence] = reason
		}
	}
	return o
}

func unknownPINType(t *fold.Tenant, e *event.Event) bool {
	for _, name := range append([]string{e.PINType}, e.SetPINs...) {
		if name != "" && t.PINTypes[name] == nil {
			return true
		}
	}
	return false
}

// check asks for every key that an event has named, in every dialect, and compares the
// answers.
func (o *oracle) check(tb testing.TB, a *api) {
	tb.Helper()
	keys := o.reference.Keys()
	wrong := make([]error, len(keys))
	var g errgroup.Group
	g.SetLimit(8)
	for i, k := range keys {
		g.Go(func() error {
			if wrong[i] = o.checkKey(tb.Context(), a, k); wrong[i] != nil {
				wrong[i] = fmt.Errorf("%s of %s: %w", k.ID, k.Tenant, wrong[i])
			}
			return nil
		})
	}
	_ = g.Wait()
	report(tb, fmt.Sprintf("answers for %d keys", len(keys)), wrong)
}

// report fails the test with the first of many errors.
func report(tb testing.TB, what string, all []error) {
	tb.Helper()
	n := 0
	for _, err := range all {
		if err == nil {
			continue
		}
		if n++; n <= 5 {
			tb.Error(err)
		}
	}
	if n > 0 {
		tb.Fatalf("%s: %d are wrong", what, n)
	}
}

func (o *oracle) checkKey(ctx context.Context, a *api, k view.Key) error {
	if k.Kind == view.KindPIN {
		return o.checkDelivery(ctx, a, k)
	}
	v := o.reference.Account(k.Tenant, k.ID)
	got, err := a.pins(ctx, k.Tenant, k.ID)
	if err == nil {
		err = checkPINs(got, &v, o.config.tenant(k.Tenant).PINTypes)
	}
	if err != nil {
		return fmt.Errorf("dialect 2: %w", err)
	}
	code := http.StatusNotFound
	for _, p := range v.PINs {
		if v.Exists && p.Type == o.config.tenant(k.Tenant).PINTypes[0].Name && p.Set {
			code = http.StatusOK
		}
	}
	if got, err = a.userPIN(ctx, k.Tenant, k.ID, 0); err == nil {
		err = got.is(code, "")
	}
	if err != nil {
		return fmt.Errorf("dialect 3: %w", err)
	}
	return nil
}

// checkDelivery compares dialect 1's three forms, byte for byte.
func (o *oracle) checkDelivery(ctx context.Context, a *api, k view.Key) error {
	v := o.reference.Delivery(k.Tenant, k.ID)
	for suffix, channel := range map[string]event.Channel{"": 0, "/sms": event.SMS, "/voice": event.Voice} {
		code, body := http.StatusOK, deliveryText(&v, channel)
		if v.Erased || v.ExpiresAt == 0 {
			code, body = http.StatusNotFound, notFoundText
		}
		got, err := a.deliveryAt(ctx, k.Tenant, "/2fa/1/pin/"+escape(k.ID)+"/status"+suffix)
		if err == nil {
			err = got.is(code, body)
		}
		if err != nil {
			return fmt.Errorf("dialect 1, status%s: %w", suffix, err)
		}
	}
	return nil
}

const notFoundText = `{"requestError":{"serviceException":{"messageId":"RESOURCE_NOT_FOUND","text":"PIN not found"}}}`

// deliveryText is the answer with the entries of a channel, or of both if it is zero.
func deliveryText(v *view.Delivery, channel event.Channel) string {
	var items []string
	for _, e := range v.Entries {
		if channel == 0 || e.Channel == channel {
			items = append(items, entryText(e.Status.String(), e.Status.Description(), e.Status.Final()))
		}
	}
	return "[" + strings.Join(items, ",") + "]"
}

func entryText(status, description string, final bool) string {
	return fmt.Sprintf(`{"status":%q,"description":%q,"finalStatus":%t}`, status, description, final)
}

// pinStatus is one PIN in an answer of dialect 2.
type pinStatus struct {
	PINType           string `json:"pinType"`
	Status            string `json:"status"`
	ExtendedStatus    string `json:"extendedStatus"`
	LockTimeRemaining int64  `json:"lockTimeRemaining"`
}

// pinStatuses reads an answer of dialect 2, and makes sure that it is written as clients
// parse it.
func pinStatuses(a answer) ([]pinStatus, error) {
	if a.code != http.StatusOK {
		return nil, fmt.Errorf("answered %d %s, want 200", a.code, a.body)
	}
	var list struct {
		Records int         `json:"totalRecords"`
		Set     []pinStatus `json:"resourceSet"`
	}
	if err := json.Unmarshal([]byte(a.body), &list); err != nil {
		return nil, fmt.Errorf("answered %s: %w", a.body, err)
	}
	var items []string
	for _, s := range list.Set {
		items = append(items, fmt.Sprintf(`{"pinType":%q,"status":%q,"extendedStatus":%q,"lockTimeRemaining":%d}`,
			s.PINType, s.Status, s.ExtendedStatus, s.LockTimeRemaining))
	}
	if want := fmt.Sprintf(`{"totalRecords":%d,"resourceSet":[%s]}`, len(list.Set), strings.Join(items, ",")); a.body != want {
		return nil, fmt.Errorf("answered %s, want it written %s", a.body, want)
	}
	return list.Set, nil
}

// checkPINs compares an answer of dialect 2 with the view. Locks run down meanwhile: what
// is answered has to be true at some moment between question and answer.
func checkPINs(a answer, v *view.Account, types []pinType) error {
	if !v.Exists {
		return a.is(http.StatusNotFound, "")
	}
	got, err := pinStatuses(a)
	if err != nil {
		return err
	}
	if len(got) != len(types) {
		return fmt.Errorf("answered %s, want one item for each of %d types", a.body, len(types))
	}
	for i, t := range types {
		pin := view.PIN{Type: t.Name}
		for _, p := range v.PINs {
			if p.Type == t.Name {
				pin = p
			}
		}
		if err := checkPIN(got[i], &pin, t, a.began, a.ended); err != nil {
			return fmt.Errorf("%w: answered %s", err, a.body)
		}
	}
	return nil
}

// checkPIN is rule P7.
func checkPIN(got pinStatus, p *view.PIN, t pinType, from, to time.Time) error {
	presence, extended := "UNSET", "OPTIONAL"
	if p.Set {
		presence = "SET"
	}
	if t.Mandatory {
		extended = "MANDATORY"
	}
	if got.PINType != t.Name || got.ExtendedStatus != extended {
		return fmt.Errorf("item %+v, want %s, %s", got, t.Name, extended)
	}
	// A lock fails closed: its key ends at the next whole millisecond, and Redis keeps a key
	// through its last one.
	most := remaining(p, from.Add(-2*time.Millisecond))
	least := remaining(p, to)
	switch {
	case got.Status == "LOCKED" && most > 0 && got.LockTimeRemaining >= max(1, seconds(least)) && got.LockTimeRemaining <= seconds(most):
		return nil
	case got.Status == presence && least <= 0 && got.LockTimeRemaining == 0:
		return nil
	}
	return fmt.Errorf("%s is %s for %d s, want %s if not locked, and a lock that runs from %v to %v",
		t.Name, got.Status, got.LockTimeRemaining, presence, least, most)
}

// remaining is how long a lock still runs; one of the policy never longer than it lasts.
func remaining(p *view.PIN, at time.Time) time.Duration {
	left := time.Duration(p.LockEnd - at.UnixNano())
	if p.LockCap > 0 {
		left = min(left, time.Duration(p.LockCap))
	}
	return left
}

// seconds rounds up.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
