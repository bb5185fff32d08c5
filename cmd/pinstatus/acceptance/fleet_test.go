package acceptance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pinstatus/pinstatus/projector/redisstore"
	"github.com/pinstatus/pinstatus/projector/view"
)

// fleet is several projectors and query services on servers that other people run, and that
// fail.
type fleet struct {
	tb             testing.TB
	config         *config
	natsURL, urlOf string
	projectorNATS  func(i int) string // the URL by which the i-th projector reaches NATS
	projectorRedis func(i int) string
	broker         *broker
	store          *redisstore.Store
	projectors     []*process // nil where none runs
	queries        []*process
	args           []string // of projectors, beside the servers
}

// newFleet makes the streams on the servers.
func newFleet(tb testing.TB, c *config, natsURL, redisURL string, apply ...string) *fleet {
	tb.Helper()
	eventually(tb, "the streams are applied", func() error {
		p := run(tb, append([]string{"streams", "apply", "--nats-url", natsURL}, apply...)...)
		if code, _ := p.exited(); code != 0 {
			return errors.New(p.Stderr.String())
		}
		return nil
	})
	client, err := redisstore.Dial(redisURL)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = client.Close() })
	store, err := redisstore.New(redisstore.Options{Client: client})
	if err != nil {
		tb.Fatal(err)
	}
	return &fleet{
		tb: tb, config: c, natsURL: natsURL, urlOf: redisURL, broker: connect(tb, natsURL), store: store,
		projectorNATS:  func(int) string { return natsURL },
		projectorRedis: func(int) string { return redisURL },
	}
}

// scale has n projectors run: it starts what is missing, and stops the last ones.
func (f *fleet) scale(n int) {
	f.tb.Helper()
	for len(f.projectors) > n {
		last := len(f.projectors) - 1
		if p := f.projectors[last]; p != nil {
			p.stop()
		}
		f.projectors = f.projectors[:last]
	}
	for i := range n {
		if i == len(f.projectors) {
			f.projectors = append(f.projectors, nil)
		}
		if f.projectors[i] == nil {
			f.projectors[i] = f.launch("project", f.projectorNATS(i), f.projectorRedis(i), f.args...)
		}
	}
}

// answer starts n query services.
func (f *fleet) answer(n int) {
	f.tb.Helper()
	for range n {
		f.queries = append(f.queries, f.launch("query", f.natsURL, f.urlOf, "--http-addr", "127.0.0.1:0").ready())
	}
}

func (f *fleet) launch(role, natsURL, redisURL string, args ...string) *process {
	f.tb.Helper()
	return start(f.tb, f.config, append([]string{role, "--config", f.config.file, "--nats-url", natsURL, "--redis-url", redisURL}, args...)...)
}

// tool runs an operator's command on the fleet's servers and returns its exit code.
func (f *fleet) tool(args ...string) (code int, out string) {
	f.tb.Helper()
	p := run(f.tb, append(args, "--nats-url", f.natsURL, "--redis-url", f.urlOf)...)
	code, _ = p.exited()
	return code, p.Stdout.String() + p.Stderr.String()
}

// positions are those of the serving generation.
func (f *fleet) positions() ([]view.Position, error) {
	ctx, cancel := context.WithTimeout(f.tb.Context(), 5*time.Second)
	defer cancel()
	serving, err := f.store.Serving(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]view.Position, serving.Partitions)
	for p := range all {
		if all[p], _, err = f.store.Load(ctx, serving.Generation, p, nil); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// projected waits until the views of all partitions are whole and include a sequence.
func (f *fleet) projected(sequence uint64) {
	f.tb.Helper()
	eventually(f.tb, fmt.Sprintf("the views include sequence %d", sequence), func() error {
		all, err := f.positions()
		if err != nil {
			return err
		}
		if len(all) == 0 {
			return errors.New("no generation serves")
		}
		for p, at := range all {
			if at.Refilling() || at.Sequence < sequence {
				return fmt.Errorf("partition %d is at %+v", p, at)
			}
		}
		return nil
	})
}

// owners are the projectors that hold leases, and how many each.
func (f *fleet) owners() (map[string]int, error) {
	ctx, cancel := context.WithTimeout(f.tb.Context(), 5*time.Second)
	defer cancel()
	serving, err := f.store.Serving(ctx)
	if err != nil {
		return nil, err
	}
	leases, err := f.store.Leases(ctx, serving.Generation)
	if err != nil {
		return nil, err
	}
	all := map[string]int{}
	for _, l := range leases {
		all[l.Owner]++
	}
	return all, nil
}

// spread waits until so many projectors hold all partitions, evenly.
func (f *fleet) spread(over int) {
	f.tb.Helper()
	eventually(f.tb, fmt.Sprintf("%d projectors share the partitions", over), func() error {
		all, err := f.owners()
		if err != nil {
			return err
		}
		var counts []int
		for _, n := range all {
			counts = append(counts, n)
		}
		if len(all) != over || all[""] > 0 || slices.Max(counts)-slices.Min(counts) > 1 {
			return fmt.Errorf("they are held by %v", all)
		}
		return nil
	})
}

// running are the places of the projectors that run.
func (f *fleet) running() []int {
	var all []int
	for i, p := range f.projectors {
		if p != nil {
			all = append(all, i)
		}
	}
	return all
}

func (f *fleet) killProjector(i int) {
	f.projectors[i].Kill()
	f.projectors[i] = nil
}

// freezeProjector stops a projector in the middle of what it does, so that it goes on later as
// if nothing had happened, when others have taken its partitions.
func (f *fleet) freezeProjector(i int) (thaw func()) {
	f.tb.Helper()
	p := f.projectors[i]
	p.signal(syscall.SIGSTOP)
	return func() { p.signal(syscall.SIGCONT) }
}

// publishing publishes messages side by side, each again and again until it is acknowledged.
type publishing struct {
	acked atomic.Int64
	last  atomic.Uint64 // highest sequence acknowledged
	done  chan struct{}
}

func (f *fleet) publish(messages []*nats.Msg) *publishing {
	p := &publishing{done: make(chan struct{})}
	work := make(chan *nats.Msg)
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for m := range work {
				p.raise(f.broker.send(m))
				p.acked.Add(1)
			}
		})
	}
	go func() {
		defer close(p.done)
		for _, m := range messages {
			work <- m
		}
		close(work)
		wg.Wait()
	}()
	return p
}

func (p *publishing) raise(sequence uint64) {
	for last := p.last.Load(); last < sequence; last = p.last.Load() {
		if p.last.CompareAndSwap(last, sequence) {
			return
		}
	}
}

// reaches waits until n of the messages are acknowledged.
func (p *publishing) reaches(tb testing.TB, n int) {
	tb.Helper()
	eventually(tb, fmt.Sprintf("%d messages are acknowledged", n), func() error {
		if got := p.acked.Load(); got < int64(n) {
			return fmt.Errorf("%d are", got)
		}
		return nil
	})
}

// furthest is the highest position of any partition.
func (f *fleet) furthest() (sequence uint64) {
	f.tb.Helper()
	eventually(f.tb, "positions can be read", func() error {
		all, err := f.positions()
		for _, at := range all {
			sequence = max(sequence, at.Sequence)
		}
		return err
	})
	return sequence
}

// beyond waits until a partition has got beyond a sequence.
func (f *fleet) beyond(sequence uint64) {
	f.tb.Helper()
	eventually(f.tb, fmt.Sprintf("a partition gets beyond %d", sequence), func() error {
		if at := f.furthest(); at <= sequence {
			return fmt.Errorf("the furthest is at %d", at)
		}
		return nil
	})
}

// notices returns what waits until a metric of a projector, in sum over its labels, has grown
// beyond what it is now.
func (f *fleet) notices(i int, metric string) (wait func()) {
	f.tb.Helper()
	grown := f.grown(i, metric)
	return func() {
		f.tb.Helper()
		eventually(f.tb, metric+" grows", grown)
	}
}

// grown returns what fails unless the metric has grown.
func (f *fleet) grown(i int, metric string) func() error {
	f.tb.Helper()
	before, err := f.projectors[i].total(metric)
	if err != nil {
		f.tb.Fatal(err)
	}
	return func() error {
		now, err := f.projectors[i].total(metric)
		if err == nil && now <= before {
			err = fmt.Errorf("%s is %v", metric, now)
		}
		return err
	}
}

// noticesNATS returns what waits until a projector has noticed that it does not reach NATS: a
// reading of the stream breaks off, or there is none, as it looks for NATS since the last time.
func (f *fleet) noticesNATS(i int) (wait func()) {
	f.tb.Helper()
	brokeOff := f.grown(i, "pinstatus_consumer_restarts_total")
	return func() {
		f.tb.Helper()
		eventually(f.tb, "the projector does not reach NATS", func() error {
			a, err := fetch(f.tb.Context(), f.projectors[i].admin+"/readyz")
			if err != nil || strings.Contains(a.body, "[-] nats: ") {
				return err
			}
			return brokeOff()
		})
	}
}

// total is the sum of a metric over its labels.
func (p *process) total(metric string) (sum float64, err error) {
	all, err := p.metrics()
	for name, value := range all {
		if name == metric || strings.HasPrefix(name, metric+"{") {
			sum += value
		}
	}
	return sum, err
}

// verified has the views compared with the stream. A broker that was down a moment ago may keep
// that from coming to an end, and it is asked again; a view that differs is the end.
func (f *fleet) verified() {
	f.tb.Helper()
	eventually(f.tb, "pinstatus verify comes to an end", func() error {
		code, out := f.tool("verify", "--config", f.config.file)
		switch code {
		case 0:
			return nil
		case 1:
			f.tb.Fatalf("pinstatus verify: views differ:\n%s", out)
		}
		return fmt.Errorf("exit code %d:\n%s", code, out)
	})
}
