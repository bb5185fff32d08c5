package acceptance

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/consumer/natstest"
	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
)

// Views are rebuilt twice, the second time with another number of partitions, while a thousand
// questions a second are asked and events come in: every question is answered, and no answer
// lacks what one before it had.
func TestRebuildUnderLoad(t *testing.T) {
	servers, redis := natstest.Start(t), redistest.Start(t)
	f := newFleet(t, newConfig(t, tenant{ID: "acme"}, tenant{ID: "globex"}), servers.URL(), redis.URL)
	f.scale(2)
	f.answer(2)
	f.spread(2)
	messages := burst(t, 20_000)
	f.broker.sendAll(messages[:10_000])
	last := f.broker.publish(progressCount(1)...)
	f.projected(last)

	ctx, stop := context.WithCancel(t.Context())
	var working sync.WaitGroup
	t.Cleanup(working.Wait)
	t.Cleanup(stop)
	publishing := f.publish(messages[10_000:])
	working.Go(func() {
		for n := 2; ctx.Err() == nil && n < 100; n++ {
			f.broker.publish(progressCount(n)...)
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	})
	perSecond := 1000
	if raceDetector { // which makes everything several times slower, on perhaps one processor
		perSecond = 200
	}
	asked := f.ask(ctx, &working, perSecond)

	for _, args := range [][]string{{"--grace", "1s"}, {"--grace", "1s", "--partitions", "8"}} {
		began := time.Now()
		code, out := f.tool(append([]string{"rebuild", "--config", f.config.file}, args...)...)
		if code != 0 {
			t.Fatalf("pinstatus rebuild %s: exit code %d:\n%s", strings.Join(args, " "), code, out)
		}
		t.Logf("rebuild %s took %v", strings.Join(args, " "), time.Since(began).Round(time.Millisecond))
	}
	<-publishing.done
	stop()
	working.Wait()
	asked.report(t)

	if code, out := f.tool("streams", "apply", "--partitions", "8", "--force"); code != 0 && !strings.Contains(out, "unknown flag") {
		t.Errorf("streams apply: %s", out)
	}
	o := newOracle(t, f.config, f.broker.stream(eventStream))
	f.projected(o.last)
	for _, q := range f.queries {
		o.check(t, q.api)
	}
	o.checkLetters(t, f.broker)
	f.verified()
}

// progressCodes are PIN codes that grow by an entry each time, so that an answer shows how far
// its views are.
const progressCodes = 16

func progressCount(n int) (events []cloudEvent) {
	for i := range progressCodes {
		events = append(events, smsStatus("acme", fmt.Sprintf("progress-%d", i), fmt.Sprintf("m%d", n), "MESSAGE_DELIVERED"))
	}
	return events
}

// asking counts what came of questions.
type asking struct {
	answers atomic.Int64
	began   time.Time

	mu    sync.Mutex
	wrong []error
}

// ask asks all query services for the progress codes, so many times a second, until ctx ends. A
// question that was asked after an answer had come must not be answered with less.
func (f *fleet) ask(ctx context.Context, working *sync.WaitGroup, perSecond int) *asking {
	a := &asking{began: time.Now()}
	var most [progressCodes]atomic.Int64
	questions := make(chan int)
	working.Go(func() {
		defer close(questions)
		tick := time.NewTicker(time.Second / time.Duration(perSecond))
		defer tick.Stop()
		for n := 0; ; {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			// A busy machine skips ticks.
			for due := int(time.Since(a.began).Seconds() * float64(perSecond)); n < due; n++ {
				select {
				case questions <- n:
				case <-ctx.Done():
					return
				}
			}
		}
	})
	for range 32 {
		working.Go(func() {
			for n := range questions {
				code, q := n%progressCodes, f.queries[n/progressCodes%len(f.queries)]
				before := most[code].Load()
				got, err := q.delivery(context.WithoutCancel(ctx), "acme", fmt.Sprintf("progress-%d", code))
				entries := int64(strings.Count(got.body, `"finalStatus"`))
				switch {
				case err != nil:
				case got.code != http.StatusOK:
					err = fmt.Errorf("answered %d %s", got.code, got.body)
				case entries < before:
					err = fmt.Errorf("answered with %d entries after an answer with %d", entries, before)
				}
				a.answers.Add(1)
				if err != nil {
					a.mu.Lock()
					a.wrong = append(a.wrong, err)
					a.mu.Unlock()
				}
				raise(&most[code], entries)
			}
		})
	}
	return a
}

func (a *asking) report(tb testing.TB) {
	tb.Helper()
	took := time.Since(a.began)
	tb.Logf("%d questions in %v, %.0f a second", a.answers.Load(), took.Round(time.Millisecond), float64(a.answers.Load())/took.Seconds())
	report(tb, "answers under load", a.wrong)
}

// raise sets v to n if that is more.
func raise(v *atomic.Int64, n int64) {
	for now := v.Load(); now < n; now = v.Load() {
		if v.CompareAndSwap(now, n) {
			return
		}
	}
}
