package acceptance

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// watched are a PIN code and an account whose answers are known: the code's entry is first
// accepted and then delivered, and the PIN of the account is set, and locked for a day.
type watched struct {
	t      *testing.T
	api    *api
	broker *broker
}

const (
	acceptedText  = `[{"status":"MESSAGE_ACCEPTED","description":"Message accepted","finalStatus":true}]`
	deliveredText = `[{"status":"MESSAGE_DELIVERED","description":"Message sent and delivered","finalStatus":true}]`
)

// begins publishes all but the delivery, and returns the sequence.
func (w *watched) begins() uint64 {
	w.t.Helper()
	return w.broker.publish(
		smsStatus("acme", "2B67", "m1", "MESSAGE_ACCEPTED"),
		pinEvent("set", "acme", "alice", "Parental"),
		pinLocked("acme", "alice", "Parental", time.Now().Add(24*time.Hour)),
	)
}

// delivers publishes the delivery, and returns its sequence.
func (w *watched) delivers() uint64 {
	w.t.Helper()
	return w.broker.publish(smsStatus("acme", "2B67", "m1", "MESSAGE_DELIVERED"))
}

// question is one of a dialect, with a check of the right answer, and one of the answer that
// nothing can be said.
type question struct {
	dialect     string
	ask         func(context.Context) (answer, error)
	right       func(answer) error
	unavailable func(answer) error
}

// questions are those of all dialects. Delivery is the right answer of dialect 1.
func (w *watched) questions(delivery string) []question {
	a := w.api
	return []question{
		{
			"dialect 1", func(ctx context.Context) (answer, error) { return a.delivery(ctx, "acme", "2B67") },
			func(got answer) error { return got.is(http.StatusOK, delivery) },
			unavailable(http.StatusServiceUnavailable, "application/json"),
		},
		{
			"dialect 1, of a code that is not there", func(ctx context.Context) (answer, error) { return a.delivery(ctx, "acme", "none") },
			func(got answer) error { return got.is(http.StatusNotFound, notFoundText) },
			unavailable(http.StatusServiceUnavailable, "application/json"),
		},
		{
			"dialect 2", func(ctx context.Context) (answer, error) { return a.pins(ctx, "acme", "alice") },
			func(got answer) error {
				pins, err := pinStatuses(got)
				if err == nil && pins[0].Status != "LOCKED" {
					err = fmt.Errorf("%+v, want LOCKED", pins[0])
				}
				return err
			},
			unavailable(http.StatusServiceUnavailable, "application/problem+json"),
		},
		{
			"dialect 3", func(ctx context.Context) (answer, error) { return a.userPIN(ctx, "acme", "alice", 0) },
			func(got answer) error { return got.is(http.StatusOK, "") },
			unavailable(http.StatusNotImplemented, "application/vnd.api+json"),
		},
	}
}

// unavailable checks an answer that says that nothing can be said. With 501 no time is named
// after which to try again.
func unavailable(code int, contentType string) func(answer) error {
	return func(got answer) error {
		if err := got.is(code, ""); err != nil {
			return err
		}
		if got.header.Get("Content-Type") != contentType {
			return fmt.Errorf("of type %q, want %q", got.header.Get("Content-Type"), contentType)
		}
		if code == http.StatusServiceUnavailable && got.header.Get("Retry-After") == "" {
			return errors.New("no Retry-After")
		}
		return nil
	}
}

// answers waits until all dialects answer rightly.
func (w *watched) answers(delivery string) {
	w.t.Helper()
	w.all("answers rightly", delivery, func(q question, got answer) error { return q.right(got) })
}

// refuses waits until all dialects say that nothing can be said.
func (w *watched) refuses() {
	w.t.Helper()
	w.all("says that it cannot say", "", func(q question, got answer) error { return q.unavailable(got) })
}

// all asks all dialects at once, again and again, until check is content with each answer.
func (w *watched) all(what, delivery string, check func(question, answer) error) {
	w.t.Helper()
	questions := w.questions(delivery)
	eventually(w.t, "every dialect "+what, func() error {
		var g errgroup.Group
		for _, q := range questions {
			g.Go(func() error {
				got, err := q.ask(w.t.Context())
				if err == nil {
					err = check(q, got)
				}
				if err != nil {
					return fmt.Errorf("%s: %w", q.dialect, err)
				}
				return nil
			})
		}
		return g.Wait()
	})
}

// neverWrong asks all dialects, again and again, until all answer rightly, and fails the test
// for any other answer but that nothing can be said. It returns how often that was. While
// nobody listens it asks on.
func (w *watched) neverWrong(delivery string) (refused int) {
	w.t.Helper()
	questions := w.questions(delivery)
	eventually(w.t, "all dialects answer", func() error {
		var last error
		for _, q := range questions {
			got, err := q.ask(w.t.Context())
			if err != nil {
				return err
			}
			wrong := q.right(got)
			if wrong == nil {
				continue
			}
			if err := q.unavailable(got); err != nil {
				w.t.Fatalf("%s: neither right nor refused: %v; %v", q.dialect, wrong, err)
			}
			refused++
			last = wrong
		}
		return last
	})
	return refused
}
