package patience_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/patience"
)

var errAway = errors.New("connection refused")

// What passes is tried again, ever slower, and told; the log has a line now and then.
func TestWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		var told []error
		p := &patience.Patience{Log: zap.New(core), Tell: func(err error) { told = append(told, err) }}
		began, tries := time.Now(), 0
		err := p.Do(t.Context(), func() error {
			tries++
			if time.Since(began) < time.Minute {
				return errAway
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > time.Minute+4*time.Second || tries < 20 || tries > 100 {
			t.Errorf("%d tries in %s", tries, took)
		}
		if len(told) != tries || !errors.Is(told[0], errAway) || told[len(told)-1] != nil || slices.Contains(told[:len(told)-1], nil) {
			t.Errorf("told %v, want each failure, and nil at the end", told)
		}
		if n := logs.FilterLevelExact(zap.WarnLevel).Len(); n < 5 || n > 7 {
			t.Errorf("%d warnings in a minute, want one in ten seconds", n)
		}
		if n := logs.FilterMessage("the servers answer again").Len(); n != 1 {
			t.Errorf("told %d times that it is over, want once", n)
		}
	})
}

func TestGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &patience.Patience{For: time.Minute, Log: zap.NewNop()}
		began := time.Now()
		err := p.Do(t.Context(), func() error { return errAway })
		var gaveUp *patience.GaveUpError
		if !errors.As(err, &gaveUp) || !errors.Is(err, errAway) || gaveUp.After != time.Minute {
			t.Errorf("got %v, want that it gave up", err)
		}
		if took := time.Since(began); took < time.Minute || took > time.Minute+4*time.Second {
			t.Errorf("gave up after %s", took)
		}
		// One that waits for another that has given up does not begin again.
		if again := p.Do(t.Context(), func() error { return err }); !errors.Is(again, err) || time.Since(began) > 70*time.Second {
			t.Errorf("got %v after %s", again, time.Since(began))
		}
	})
}

// What has come on a little has all the time again.
func TestCameOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &patience.Patience{For: time.Minute, Log: zap.NewNop()}
		tries := p.Tries()
		defer tries.End()
		for began, n := time.Now(), 0; time.Since(began) < time.Hour; n++ {
			if err := tries.Again(t.Context(), errAway); err != nil {
				t.Fatalf("after %s: %v", time.Since(began), err)
			}
			if n%10 == 0 {
				tries.CameOn()
			}
		}
	})
}

func TestEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		began := time.Now()
		err := (&patience.Patience{Log: zap.NewNop()}).Do(ctx, func() error { return errAway })
		if !errors.Is(err, context.Canceled) || !errors.Is(err, errAway) || time.Since(began) != time.Second {
			t.Errorf("got %v after %s, want that it was canceled, and what it waited for", err, time.Since(began))
		}
	})
}

func TestLasting(t *testing.T) {
	for _, lasting := range []error{
		patience.Lasting(errAway), &projector.Alarm{Reason: projector.AlarmRetention}, projector.ErrTorn, jetstream.ErrStreamNotFound,
		errors.New("NOPERM this user has no permissions to run the 'scan' command"), errors.New("WRONGPASS invalid username-password pair"),
		errors.New("NOAUTH authentication required"), nats.ErrAuthorization, nats.ErrConnectionClosed,
	} {
		tries := 0
		err := (&patience.Patience{For: time.Second, Log: zap.NewNop()}).Do(t.Context(), func() error {
			tries++
			return lasting
		})
		if !errors.Is(err, lasting) || tries != 1 {
			t.Errorf("%v: got %v after %d tries, want one", lasting, err, tries)
		}
	}
	if patience.Lasting(nil) != nil {
		t.Error("no failure is made one")
	}
}
