package client

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// transport answers requests without a network.
type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

// step is how a try of a request ends: with an error, or with a status and a header.
type step struct {
	err        error
	code       int
	retryAfter string
	takes      time.Duration
	cut        bool // in the answer's body
}

// script makes a client whose requests end in these ways, the last one again and again.
func script(tb testing.TB, r Retry, steps []step, tries *int) *Client {
	tb.Helper()
	c, err := New("http://service.example", WithAPIKey("k"), WithRetry(r), WithHTTPClient(&http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		s := steps[min(*tries, len(steps)-1)]
		*tries++
		if !pause(r.Context(), s.takes) {
			return nil, r.Context().Err()
		}
		if s.err != nil {
			return nil, s.err
		}
		res := &http.Response{StatusCode: s.code, Header: http.Header{"Content-Type": {"application/json"}}}
		if s.retryAfter != "" {
			res.Header.Set("Retry-After", s.retryAfter)
		}
		in, out := io.Pipe()
		go func() {
			_, _ = io.WriteString(out, `{"accountId":"alice"`)
			if s.cut {
				_ = out.CloseWithError(io.ErrUnexpectedEOF)
				return
			}
			_, _ = io.WriteString(out, "}")
			_ = out.Close()
		}()
		res.Body = in
		return res, nil
	})}))
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func TestRetries(t *testing.T) {
	refused := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	ok := step{code: 200}
	tests := []struct {
		name   string
		retry  Retry
		steps  []step
		budget time.Duration // of the context; 0 for none
		tries  int
		err    error // nil for none
		least  time.Duration
		most   time.Duration
	}{
		{"at once", Retry{}, []step{ok}, 0, 1, nil, 0, 0},
		{"a connection that fails", Retry{}, []step{{err: refused}, ok}, 0, 2, nil, 100 * time.Millisecond, 300 * time.Millisecond},
		{"an answer that is cut off", Retry{}, []step{{code: 200, cut: true}, ok}, 0, 2, nil, 100 * time.Millisecond, 300 * time.Millisecond},
		{
			"each status of the moment",
			Retry{First: time.Second, Attempts: 5},
			[]step{{code: 429}, {code: 502}, {code: 503}, {code: 504}, ok},
			0, 5, nil, 4062 * time.Millisecond, 12188 * time.Millisecond,
		},
		{"attempts by default", Retry{}, []step{{code: 503}}, 0, 4, ErrUnavailable, 475 * time.Millisecond, 1425 * time.Millisecond},
		{"one attempt", Retry{Attempts: 1}, []step{{err: refused}}, 0, 1, syscall.ECONNREFUSED, 0, 0},
		{"no answer", Retry{Attempts: 1}, []step{{err: refused}}, 0, 1, ErrNoAnswer, 0, 0},
		{"the service asks for a time", Retry{}, []step{{code: 503, retryAfter: "5"}, ok}, 0, 2, nil, 5100 * time.Millisecond, 5300 * time.Millisecond},
		{"by a date", Retry{}, []step{{code: 429, retryAfter: "Sat, 01 Jan 2000 00:00:07 GMT"}, ok}, 0, 2, nil, 7100 * time.Millisecond, 7300 * time.Millisecond},
		{"for a time in the past", Retry{}, []step{{code: 429, retryAfter: "Fri, 31 Dec 1999 00:00:00 GMT"}, ok}, 0, 2, nil, 100 * time.Millisecond, 300 * time.Millisecond},
		{"for something else", Retry{}, []step{{code: 429, retryAfter: "-3"}, ok}, 0, 2, nil, 100 * time.Millisecond, 300 * time.Millisecond},
		{"for too much", Retry{}, []step{{code: 429, retryAfter: "11"}, ok}, 0, 1, ErrLimited, 0, 0},
		{"more than the caller has", Retry{}, []step{{code: 503, retryAfter: "5"}, ok}, 3 * time.Second, 1, ErrUnavailable, 0, 0},
		{"no answer", Retry{Attempts: 2}, []step{{takes: time.Hour}}, 0, 2, errors.ErrUnsupported, 20100 * time.Millisecond, 20300 * time.Millisecond},
		{"the caller's time is up", Retry{}, []step{{takes: time.Hour}}, 7 * time.Second, 1, context.DeadlineExceeded, 7 * time.Second, 7 * time.Second},
		{"the longest pause", Retry{First: time.Second, Most: time.Second, Attempts: 11}, []step{{code: 503}}, 0, 11, ErrUnavailable, 5 * time.Second, 10 * time.Second},
		{"not found", Retry{}, []step{{code: 404}}, 0, 1, errors.ErrUnsupported, 0, 0},
		{"behind", Retry{}, []step{{code: 409}}, 0, 1, ErrBehind, 0, 0},
		{"a fault of the service", Retry{}, []step{{code: 500}}, 0, 1, errors.ErrUnsupported, 0, 0},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := t.Context(), context.CancelFunc(func() {})
			if tt.budget > 0 {
				ctx, cancel = context.WithTimeout(ctx, tt.budget)
			}
			defer cancel()
			tries, notices := 0, 0
			tt.retry.Notify = func(err error, after time.Duration) {
				notices++
				if err == nil || after <= 0 {
					t.Errorf("%s: notified of %v, after %s", tt.name, err, after)
				}
			}
			began := time.Now()
			_, err := script(t, tt.retry, tt.steps, &tries).Account(ctx, "alice")
			took := time.Since(began)
			if (err == nil) != (tt.err == nil) || tt.err != errors.ErrUnsupported && !errors.Is(err, tt.err) { //nolint:errorlint // stands for any error
				t.Errorf("%s: %v, want %v", tt.name, err, tt.err)
			}
			if tries != tt.tries || notices != tries-1 {
				t.Errorf("%s: tried %d times with %d notices, want %d", tt.name, tries, notices, tt.tries)
			}
			if took < tt.least || took > tt.most {
				t.Errorf("%s: took %s, want %s to %s", tt.name, took, tt.least, tt.most)
			}
		})
	}
}

// A try may take longer where the service was asked to wait.
func TestTimeouts(t *testing.T) {
	for want, opts := range map[time.Duration][]ReadOption{
		3 * time.Second:  nil,
		8 * time.Second:  {MinSequence(1)},
		63 * time.Second: {MinSequence(1), Wait(time.Minute)},
		33 * time.Second: {IfChanged(`"1-a"`), Wait(30 * time.Second)},
	} {
		synctest.Test(t, func(t *testing.T) {
			tries := 0
			c := script(t, Retry{Attempts: 1}, []step{{takes: time.Hour}}, &tries)
			c.timeout = 3 * time.Second
			began := time.Now()
			_, err := c.PIN(t.Context(), "a", opts...)
			if took := time.Since(began); err == nil || took != want || !errors.Is(err, ErrNoAnswer) || err.Error() != "get PIN code: no answer within "+want.String() {
				t.Errorf("%v after %s, want no answer within %s", err, took, want)
			}
		})
	}
}

func TestCancelled(t *testing.T) {
	for name, tt := range map[string]struct {
		step    step
		notices int
	}{
		"between two tries": {step{code: 503}, 1},
		"in a try":          {step{takes: time.Hour}, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			tries, notices := 0, 0
			c := script(t, Retry{First: time.Hour, Most: time.Hour, Notify: func(error, time.Duration) { notices++ }}, []step{tt.step}, &tries)
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(5*time.Second, func() { cancel(errors.New("own reason")) })
			began := time.Now()
			_, err := c.PIN(ctx, "a")
			if took := time.Since(began); !errors.Is(err, context.Canceled) || took != 5*time.Second || tries != 1 || notices != tt.notices {
				t.Errorf("%s: %v after %s, %d tries and %d notices; want it cancelled after 5s, one and %d", name, err, took, tries, notices, tt.notices)
			}
		})
	}
}

// Of a failed connection the error says what, but not whose view was asked for.
func TestErrorsOfConnections(t *testing.T) {
	c, err := New("http://127.0.0.1:1", WithAPIKey("secret"), WithRetry(Retry{Attempts: 1}))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Account(t.Context(), "alice")
	if diff := cmp.Diff("get account: dial tcp 127.0.0.1:1: connect: connection refused", err.Error()); diff != "" {
		t.Error(diff)
	}
	if errors.Is(err, ErrUnavailable) || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v: want the error of the connection", err)
	}
}
