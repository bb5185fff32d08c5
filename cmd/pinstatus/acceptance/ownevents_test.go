package acceptance

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pinstatus/pinstatus/consumer/natstest"
	"github.com/pinstatus/pinstatus/projector/storetest/redistest"
)

// Whoever publishes an event, and asks with the sequence of its acknowledgement, gets an answer
// that includes it: ten thousand times, from either of two query services, with two
// projectors, under load. Some events are repeats, and some end as dead letters: they change no
// view, and their sequence is processed all the same.
func TestReadYourEvents(t *testing.T) {
	t.Parallel()
	const rounds, publishers = 10_000, 16
	c := newConfig(t, tenant{ID: "acme", Limits: map[string]int{"requestsPerSecond": 1_000_000}}, tenant{ID: "globex"})
	f := newFleet(t, c, natstest.Start(t).URL(), redistest.Start(t).URL)
	f.scale(2)
	f.answer(2)
	f.spread(2)
	load := f.publish(burst(t, 20_000))

	began := time.Now()
	var mu sync.Mutex
	var took []time.Duration
	var g errgroup.Group
	for p := range publishers {
		g.Go(func() error {
			a := author{f: f, pinID: "own-" + strconv.Itoa(p), random: rand.New(rand.NewPCG(1, uint64(p)))}
			for n := range rounds / publishers {
				if err := a.round(n); err != nil {
					return fmt.Errorf("publisher %d, round %d: %w", p, n, err)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, a.took...)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	elapsed := time.Since(began)
	<-load.done
	slices.Sort(took)
	t.Logf("%d of %d answers include the event before them, beside %d other events, in %v; from the acknowledgement to the answer: p50 %v, p99 %v",
		len(took), rounds, load.last.Load(), elapsed.Round(time.Millisecond), took[len(took)/2], took[len(took)*99/100])
	if len(took) != rounds {
		t.Errorf("%d rounds, want %d", len(took), rounds)
	}
}

// author publishes events of one PIN code and asks for them.
type author struct {
	f       *fleet
	pinID   string
	random  *rand.Rand
	entries int        // of the view
	last    cloudEvent // that made the newest
	wrong   int        // verifications
	took    []time.Duration
}

// round publishes one event and asks for it. The first ninety make an entry each; later ones
// count verifications: views have room for a hundred entries.
func (a *author) round(n int) error {
	var sequence uint64
	switch kind := a.random.IntN(20); {
	case kind == 0 && n > 0: // a repeat
		sequence = a.f.broker.send(a.last.structured())
	case kind == 1 && n > 0: // a dead letter
		sequence = a.f.broker.publish(smsStatus("acme", a.pinID, "bad", "NO_SUCH_STATUS"))
	case a.entries < 90:
		a.entries++
		a.last = smsStatus("acme", a.pinID, "m"+strconv.Itoa(a.entries), "MESSAGE_ACCEPTED")
		sequence = a.f.broker.publish(a.last)
	default:
		a.wrong++
		a.last = newEvent("code", "code.verification", "acme", map[string]any{"pinId": a.pinID, "outcome": "WRONG_PIN"})
		sequence = a.f.broker.publish(a.last)
	}
	acknowledged := time.Now()
	q := a.f.queries[a.random.IntN(len(a.f.queries))]
	got, err := fetch(a.f.tb.Context(), q.base+"/v1/pins/"+a.pinID, "Authorization", "App "+apiKeyOf("acme"),
		"Pinstatus-Min-Sequence", strconv.FormatUint(sequence, 10), "Prefer", "wait=60")
	if err != nil {
		return err
	}
	a.took = append(a.took, got.ended.Sub(acknowledged))
	return a.check(got)
}

func (a *author) check(got answer) error {
	if got.code != http.StatusOK {
		return fmt.Errorf("answered %d %s", got.code, got.body)
	}
	var pin struct {
		Entries      []json.RawMessage `json:"entries"`
		Verification struct {
			Wrong int `json:"wrong"`
		} `json:"verification"`
	}
	if err := json.Unmarshal([]byte(got.body), &pin); err != nil {
		return err
	}
	if len(pin.Entries) != a.entries || pin.Verification.Wrong != a.wrong {
		return fmt.Errorf("answered %d entries and %d verifications, want %d and %d", len(pin.Entries), pin.Verification.Wrong, a.entries, a.wrong)
	}
	return nil
}

// A sequence that is not processed in time is a conflict, which names the position reached.
func TestEventsThatDoNotCome(t *testing.T) {
	t.Parallel()
	p := serve(t, newConfig(t), "--data-dir", t.TempDir()).ready()
	b := connect(t, p.nats)
	sequence := b.publish(smsStatus("acme", "2B67", "m1", "MESSAGE_ACCEPTED"))
	p.projected(sequence)
	for _, path := range []string{"/v1/pins/2B67", "/v1/pins/2B67/watch"} {
		got, err := fetch(t.Context(), p.base+path, "Authorization", "App "+apiKeyOf("acme"),
			"Pinstatus-Min-Sequence", strconv.FormatUint(sequence+1, 10), "Prefer", "wait=1")
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf(`"position":%d`, sequence); got.code != http.StatusConflict || !strings.Contains(got.body, want) {
			t.Errorf("%s: answered %d %s, want 409 with %s", path, got.code, got.body, want)
		}
		if took := got.ended.Sub(got.began); took < time.Second {
			t.Errorf("%s: the answer came after %v, want 1s", path, took)
		}
	}
}
