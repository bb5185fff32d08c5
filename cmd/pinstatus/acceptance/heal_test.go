package acceptance

import (
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/pinstatus/pinstatus/consumer/natstest"
	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
)

// A Redis that loses everything while the system runs is filled again without anybody's doing,
// in a time that grows with the events that the stream holds. Meanwhile what is asked is
// answered with 503, from the first read on, and never with something that is not so.
func TestFlushAllHeals(t *testing.T) {
	t.Parallel()
	servers, redis := natstest.Start(t), redistest.Start(t)
	f := newFleet(t, newConfig(t, tenant{ID: "acme"}, tenant{ID: "globex"}), servers.URL(), redis.URL)
	f.scale(2)
	f.answer(1)
	f.spread(2)
	known := pinEvent("set", "acme", "known", "Parental")
	f.broker.publish(known)
	messages, published := burst(t, *chaosEvents), 0
	for _, events := range []int{*chaosEvents / 4, *chaosEvents / 2, *chaosEvents} {
		for part := range slices.Chunk(messages[published:events], 5000) {
			f.broker.sendAll(part)
		}
		published = events
		o := newOracle(t, f.config, f.broker.stream(eventStream))
		f.projected(o.last)
		a, err := f.queries[0].pins(t.Context(), "acme", "known")
		if err != nil || a.code != http.StatusOK {
			t.Fatalf("before the loss: %d %s, %v", a.code, a.body, err)
		}

		began := time.Now()
		redis.Do("FLUSHALL")
		refused := 0
		eventually(t, "the account is answered again", func() error {
			a, err := f.queries[0].pins(t.Context(), "acme", "known")
			switch {
			case err != nil:
				return err
			case a.code == http.StatusServiceUnavailable:
				refused++
				return errors.New("503")
			case a.code != http.StatusOK:
				t.Fatalf("while the views are filled: %d %s, want 503 or the right answer", a.code, a.body)
			}
			return nil
		})
		f.projected(o.last)
		took := time.Since(began)
		if refused == 0 {
			t.Error("no answer was refused: nothing was tested")
		}
		o.check(t, f.queries[0].api)
		t.Logf("%d events: whole again after %v, %d answers were 503", events, took.Round(time.Millisecond), refused)
	}
}
