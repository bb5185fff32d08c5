package v1

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/view"
	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/auth"
	"github.com/pinstatus/pinstatus/query/internal/querytest"
)

func dialect(s *query.Service, a *auth.Authenticator) query.Dialect { return New(s, a) }

func start(tb testing.TB) *querytest.Rig {
	tb.Helper()
	return querytest.Start(tb, querytest.Config{}, dialect)
}

const (
	pinPath     = "/v1/pins/2B67"
	accountPath = "/v1/accounts/abc123"
	pinsBatch   = "/v1/pins:batchGet"
	acctsBatch  = "/v1/accounts:batchGet"

	deliveriesKey = "Authorization: App " + querytest.AcmeKey
	pinsKey       = "Authorization: App " + querytest.AcmeOtherKey
	jsonBody      = "Content-Type: application/json"
)

func bearer(r *querytest.Rig, c querytest.Claims) string {
	return "Authorization: Bearer " + r.Token(c)
}

func problem(code int, detail string) string {
	return fmt.Sprintf(`{"type":"about:blank","title":%q,"status":%d,"detail":%q}`, http.StatusText(code), code, detail)
}

var (
	unauthorized = problem(401, "The credential is missing, malformed, expired, or cannot be verified.")
	noDeliveries = problem(403, "The credential lacks the scope deliveries:read.")
	noPINs       = problem(403, "The credential lacks the scope pins:read.")
	clientOnPINs = problem(403, "The token is for an account, and reads no PIN codes.")
	otherAccount = problem(403, "The token is for another account.")
	badID        = problem(400, "The id in the path is not 1 to 256 bytes of UTF-8 without control characters.")
	badPrefer    = problem(400, "Prefer: malformed, or its wait is not a whole number of seconds from 1 to 60.")
	badMatch     = `{"type":"about:blank","title":"Bad Request","status":400,"detail":"If-None-Match: neither \"*\" nor a list of entity tags, each in quotes."}`
	badSequence  = problem(400, "Pinstatus-Min-Sequence: not a whole number from 1 to 18446744073709551615, or given more than once.")
	notFound     = problem(404, "There is no such view.")
	tooManyWait  = problem(429, "Too many requests are waiting already.")
	fault        = problem(500, "An internal fault occurred.")
	unavailable  = problem(503, "The request cannot be answered now.")
)

func behind(position int) string {
	return fmt.Sprintf(`{"type":"about:blank","title":"Conflict","status":409,`+
		`"detail":"The sequence that was waited for has not been processed yet.","position":%d}`, position)
}

// moment is the time of day of an event, in Unix nanoseconds.
func moment(clock string) int64 {
	t, err := time.Parse(time.RFC3339Nano, "2026-11-21T"+clock+"Z")
	if err != nil {
		panic(err)
	}
	return t.UnixNano()
}

// delivery is a view with one SMS.
func delivery(sequence uint64, s event.Status) *view.Delivery {
	at := moment("10:00:00")
	return &view.Delivery{
		Sequence: sequence, Verification: view.Verification{AttemptsRemaining: event.Absent},
		Entries: []view.Entry{{Channel: event.SMS, ID: "m1", Status: s, FirstAt: at, ChangedAt: at, Timeline: []view.Change{{Status: s, At: at}}}},
	}
}

// deliveryBody is the body of what delivery makes.
func deliveryBody(id string, sequence uint64, s event.Status) string {
	return fmt.Sprintf(`{"pinId":%q,"sequence":%d,"entries":[{"channel":"sms","id":"m1","status":%q,"description":%q,"final":%t,`+
		`"firstAt":"2026-11-21T10:00:00.000Z","changedAt":"2026-11-21T10:00:00.000Z","timeline":[{"status":%q,"at":"2026-11-21T10:00:00.000Z"}]}]}`,
		id, sequence, s.String(), s.Description(), s.Final(), s.String())
}

// account is a view with a parental PIN that is set or not.
func account(sequence uint64, set bool) *view.Account {
	return &view.Account{Sequence: sequence, Exists: true, PINs: []view.PIN{{Type: "Parental", Set: set}}}
}

// accountBody is the body of what account makes.
func accountBody(id string, sequence uint64, set bool) string {
	status := "UNSET"
	if set {
		status = "SET"
	}
	return fmt.Sprintf(`{"accountId":%q,"sequence":%d,"pins":[`+
		`{"type":"Parental","mandatory":true,"status":%q,"failedAttempts":0,"attemptsLeft":3,"lockCount":0},`+
		`{"type":"Purchase","mandatory":false,"status":"UNSET","failedAttempts":0,"attemptsLeft":5,"lockCount":0}]}`, id, sequence, status)
}

// begin sends a GET and returns a channel with its answer, once it waits.
func begin(ctx context.Context, t *testing.T, r *querytest.Rig, path string, headers ...string) <-chan querytest.Answer {
	t.Helper()
	before := waiters(t, r)
	answers := make(chan querytest.Answer, 1)
	go func() {
		a, err := r.Try(ctx, http.MethodGet, path, headers...)
		if err != nil {
			a = querytest.Answer{Body: err.Error()}
		}
		answers <- a
	}()
	querytest.Eventually(t, "the request waits", func() bool { return waiters(t, r) == before+1 })
	return answers
}

func waiters(t *testing.T, r *querytest.Rig) int { return int(metric(t, r, "pinstatus_query_waiters")) }

// metric is the value of a counter or gauge: of the series with all these label values.
func metric(t *testing.T, r *querytest.Rig, name string, labels ...string) float64 {
	t.Helper()
	families, err := r.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
	series:
		for _, m := range f.GetMetric() {
			var values []string
			for _, l := range m.GetLabel() {
				values = append(values, l.GetValue())
			}
			for _, want := range labels {
				if !strings.Contains("\n"+strings.Join(values, "\n")+"\n", "\n"+want+"\n") {
					continue series
				}
			}
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return 0
}

func publish(t *testing.T, nc *nats.Conn, n view.Notice) {
	t.Helper()
	subject := view.NoticeSubject(view.Generation{Number: n.Generation}, n.Partition)
	if err := errors.Join(nc.Publish(subject, n.Append(nil)), nc.Flush()); err != nil {
		t.Fatal(err)
	}
}
