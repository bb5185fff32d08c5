package acceptance

import (
	"context"
	"testing"
	"time"
)

// patience is how long a condition may take to come true. It is no promise of pinstatus:
// a machine that is busy with other tests is slow.
const patience = 60 * time.Second

// eventually asks again and again until try has no error, and fails the test with its last
// one when patience ends. What names the condition.
func eventually(tb testing.TB, what string, try func() error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	began := time.Now()
	for {
		err := try()
		if err == nil {
			return
		}
		if !pause(ctx) {
			tb.Fatalf("%s: not within %v: %v", what, time.Since(began).Round(time.Millisecond), err)
		}
	}
}

// pause is the time between two tries; false if ctx has ended.
func pause(ctx context.Context) bool {
	timer := time.NewTimer(10 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
