package rebuild

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest"

	"github.com/pinstatus/pinstatus/projector"
	"github.com/pinstatus/pinstatus/projector/patience"
	"github.com/pinstatus/pinstatus/projector/rig"
	"github.com/pinstatus/pinstatus/projector/view"
)

// outage stops a server, and starts it again as it was.
type outage struct {
	name       string
	stop, back func(*rig.Rig)
}

var (
	natsAway  = outage{"nats", func(r *rig.Rig) { r.Broker.Stop() }, func(r *rig.Rig) { r.Broker.Restart() }}
	redisAway = outage{"redis", func(r *rig.Rig) { r.Redis.Do("SAVE"); r.Redis.Stop() }, restartRedis}
	outages   = []outage{natsAway, redisAway}
)

// restartRedis returns once the client has noticed, which after many failures looks once a
// second.
func restartRedis(r *rig.Rig) {
	r.Redis.Restart()
	r.Until("redis answers", func() bool { return r.Client.Ping(r.TB.Context()).Err() == nil })
}

// folded stands for the midst of the folding, in the place of a step.
const folded Step = "folded"

// during stops the server when a step begins, and has it come back once the rebuild says that
// it waits.
func (o outage) during(r *rig.Rig, at Step) func(*Options) {
	stop := sync.OnceFunc(func() { o.stop(r) })
	back := sync.OnceFunc(func() { o.back(r) })
	return func(opts *Options) {
		if at == folded {
			opts.Store = committing{r.Store, stop}
		}
		opts.Step = func(s Step, text string) {
			r.TB.Logf("%s: %s", s, text)
			if s == at {
				stop()
			}
		}
		opts.Log = zaptest.NewLogger(r.TB, zaptest.WrapOptions(zap.Hooks(func(e zapcore.Entry) error {
			if e.Level == zap.WarnLevel {
				back()
			}
			return nil
		})))
	}
}

// committing is a store that calls something before a view is written.
type committing struct {
	Store
	do func()
}

func (s committing) Commit(ctx context.Context, c *projector.Commit) (view.Position, error) {
	if len(c.Writes) > 0 {
		s.do()
	}
	return s.Store.Commit(ctx, c)
}

// A rebuild outlives servers that are away, wherever it is, and goes on where it was.
func TestServersAreAwayForAMoment(t *testing.T) {
	for _, o := range outages {
		for _, at := range []Step{StepFill, folded, StepCompare, StepSeal, StepClose, StepFlip, StepHand, StepDrop} {
			if o.name == "nats" && (at == StepFlip || at == StepDrop) {
				continue // nothing has to be asked of it then
			}
			t.Run(o.name+" "+string(at), func(t *testing.T) {
				t.Parallel()
				r := settled(t, 2000)
				sum := mustRun(r, o.during(r, at), func(o *Options) { o.Partitions, o.OwnersTimeout = 8, 20*time.Second })
				if !sum.Changed || !sum.Dropped || sum.Plan.Action != ActionBegin {
					t.Errorf("summary %+v, want all done by one run", sum)
				}
				r.Traffic.Publish(200)
				r.Settle()
				serves(t, r, view.Serving{Generation: generation(2, 8), Previous: generation(1, 4)})
				mustBeTrue(r, rig.Policy(1, 3))
				mustHaveLetters(r)
				mustBeAlone(r, generation(1, 4))
			})
		}
	}
}

// An abort waits for the store as well, which is all that it needs.
func TestAbortWhileRedisIsAway(t *testing.T) {
	r := settled(t, 1000)
	if _, err := Run(t.Context(), options(r, dieAfter(StepSeal))); !errors.Is(err, errCrash) {
		t.Fatalf("error %v, want the crash", err)
	}
	if _, err := Abort(t.Context(), options(r, redisAway.during(r, StepUnseal))); err != nil {
		t.Fatalf("abort: %v", err)
	}
	r.Traffic.Publish(100)
	r.Settle()
	serves(t, r, view.Serving{Generation: generation(1, 4), Highest: 2})
	mustBeTrue(r, rig.Policy(1, 3))
}

// While it waits it says why, and an interruption ends it.
func TestInterruptedWhileServersAreAway(t *testing.T) {
	for _, o := range outages {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			r := settled(t, 2000)
			ctx, interrupt := context.WithCancel(t.Context())
			var mu sync.Mutex
			var why error
			_, err := Run(ctx, options(r, func(opts *Options) {
				opts.Step = func(s Step, _ string) {
					if s == StepCompare {
						o.stop(r)
					}
				}
				opts.Progress = func(p Progress) {
					mu.Lock()
					defer mu.Unlock()
					if p.Waiting != nil {
						why = p.Waiting
						interrupt()
					}
				}
			}))
			if !errors.Is(err, context.Canceled) || why == nil {
				t.Errorf("got %v after %v, want that it was interrupted while it waited", err, why)
			}
			o.back(r)
			if sum := mustRun(r); sum.Plan.Action != ActionResume {
				t.Errorf("action %s, want that it goes on", sum.Plan.Action)
			}
			r.Settle()
			mustBeTrue(r, rig.Policy(1, 3))
			mustHaveLetters(r)
		})
	}
}

// Servers that stay away end it, and it can be run again.
func TestServersStayAway(t *testing.T) {
	for _, o := range outages {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			r := settled(t, 2000)
			_, err := Run(t.Context(), options(r, func(opts *Options) {
				opts.giveUp = 300 * time.Millisecond
				opts.Step = func(s Step, _ string) {
					if s == StepFill {
						o.stop(r)
					}
				}
			}))
			var gaveUp *patience.GaveUpError
			if !errors.As(err, &gaveUp) {
				t.Errorf("got %v, want that it gave up", err)
			}
			o.back(r)
			mustRun(r)
			r.Settle()
			mustBeTrue(r, rig.Policy(1, 3))
		})
	}
}

// Old views do not stand still for as long as the broker is away.
func TestBrokerStaysAwayBehindTheSeal(t *testing.T) {
	for _, interrupted := range []bool{false, true} {
		name := "the time is up"
		if interrupted {
			name = "interrupted"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rig.New(t, 4)
			live := r.Project("one", rig.Policy(1, 3))
			r.Traffic.Publish(2000)
			r.Settle()
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			sum, err := Run(ctx, options(r, func(o *Options) {
				if !interrupted {
					o.closing = time.Second
				}
				o.Step = func(s Step, _ string) {
					if s != StepSeal {
						return
					}
					r.Broker.Stop()
					if interrupted {
						interrupt()
					}
				}
			}))
			if interrupted && !errors.Is(err, context.Canceled) ||
				!interrupted && (err == nil || !strings.Contains(err.Error(), "the old generation goes on")) {
				t.Errorf("got %v, want that the old generation goes on", err)
			}
			if sum.Changed {
				t.Error("it has changed over")
			}
			for p, pos := range r.Positions(generation(1, 4)) {
				if pos.Sealed() {
					t.Errorf("partition %d is sealed", p)
				}
			}
			r.Broker.Restart()
			r.Traffic.Publish(100)
			r.Settle()
			live.Stop()
			r.Project("two", rig.Policy(1, 3))
			mustRun(r)
			r.Settle()
			mustBeTrue(r, rig.Policy(1, 3))
			mustHaveLetters(r)
		})
	}
}
