package acceptance

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pinstatus/pinstatus/cmd/pinstatus/simulate"
)

// The projector is killed in the middle of its work, again and again, while events come in.
// Views and position move together, so that each event takes effect exactly once.
func TestProjectorKilled(t *testing.T) {
	t.Parallel()
	const events, kills = 20_000, 5
	c := newConfig(t, tenant{ID: "acme"}, tenant{ID: "globex"})
	d := prepare(t, c)
	messages := burst(t, events)
	interrupted := 0
	var sequence uint64
	for part := range slices.Chunk(messages, events/kills) {
		d.project = d.start("project")
		published := make(chan error, 1)
		go func() { published <- d.broker.trySendAll(part) }()
		d.project.reaches(sequence + uint64(len(part)/2))
		d.project.Kill()
		if err := <-published; err != nil {
			t.Fatal(err)
		}
		sequence += uint64(len(part))
		if at := d.positions(); slices.Min(at) < sequence {
			interrupted++
			t.Logf("killed while sequence %d was published: positions from %d to %d", sequence, slices.Min(at), slices.Max(at))
		}
	}
	if interrupted == 0 {
		t.Error("no kill came before all was done: nothing was tested")
	}
	o := newOracle(t, c, d.broker.stream(eventStream))
	d.project = d.start("project")
	d.projected(o.last)
	d.query = d.start("query").ready()
	o.check(t, d.query.api)
	o.checkViews(t, d)
	o.checkLetters(t, d.broker)
	t.Logf("%d events of %d keys, %d dead letters, killed %d times before all was done",
		o.last, len(o.reference.Keys()), len(o.letters), interrupted)
}

// The embedded server is killed together with all the rest, while events come in. What it
// has acknowledged is in the answers of the next process.
func TestServeKilled(t *testing.T) {
	t.Parallel()
	const events, kills = 6_000, 3
	c := newConfig(t, tenant{ID: "acme"}, tenant{ID: "globex"})
	dir := t.TempDir()
	acknowledged := map[uint64]*nats.Msg{}
	for part := range slices.Chunk(burst(t, events), events/kills) {
		p := serve(t, c, "--data-dir", dir)
		before := len(acknowledged)
		killWhilePublishing(t, p, part, acknowledged)
		t.Logf("killed when %d of %d events were acknowledged", len(acknowledged)-before, len(part))
		if len(acknowledged)-before == len(part) {
			t.Error("the kill came after all was done: nothing was tested")
		}
	}
	p := serve(t, c, "--data-dir", dir).ready()
	b := connect(t, p.nats)
	held := b.stream(eventStream)
	bySequence := map[uint64][]byte{}
	for _, m := range held {
		bySequence[m.sequence] = m.payload
	}
	for sequence, m := range acknowledged {
		if !bytes.Equal(bySequence[sequence], m.Data) {
			t.Errorf("the event acknowledged as %d is lost", sequence)
		}
	}
	o := newOracle(t, c, held)
	p.projected(o.last)
	o.check(t, p.api)
	o.checkLetters(t, b)
	t.Logf("%d acknowledged, %d events of %d keys in the stream", len(acknowledged), len(held), len(o.reference.Keys()))
}

// killWhilePublishing kills the process when a third of the messages are acknowledged, and
// adds to acknowledged those that were.
func killWhilePublishing(tb testing.TB, p *process, messages []*nats.Msg, acknowledged map[uint64]*nats.Msg) {
	tb.Helper()
	nc, err := nats.Connect(p.nats, nats.NoReconnect())
	if err != nil {
		tb.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(len(messages)))
	if err != nil {
		tb.Fatal(err)
	}
	type sent struct {
		message *nats.Msg
		ack     jetstream.PubAckFuture
	}
	flying := make(chan sent, 256)
	killed := make(chan struct{})
	go func() {
		defer close(flying)
		for _, m := range messages {
			f, err := js.PublishMsgAsync(m)
			if err != nil {
				return // killed
			}
			select {
			case flying <- sent{m, f}:
			case <-killed:
				return
			}
		}
	}()
	n := 0
	for s := range flying {
		select {
		case ack := <-s.ack.Ok():
			acknowledged[ack.Sequence] = s.message
			if n++; n == len(messages)/3 {
				p.Kill()
				nc.Close()
				close(killed)
			}
		case <-killed:
			// Of those under way some were acknowledged before the end.
			select {
			case ack := <-s.ack.Ok():
				acknowledged[ack.Sequence] = s.message
			default:
			}
		case <-time.After(patience):
			tb.Fatal("no acknowledgement")
		}
	}
}

// burst is traffic as it comes at a busy hour: out of order, repeated, late, bad, and with
// many locks at a time.
func burst(tb testing.TB, events int) []*nats.Msg {
	tb.Helper()
	g, err := simulate.New(simulate.GeneratorOptions{
		Seed: 1, Tenants: []string{"acme", "globex"}, Accounts: 200, Codes: 200,
		Disorder: 0.1, Repeats: 0.1, Late: 0.01, Bad: 0.005, StormEvery: 2000,
	})
	if err != nil {
		tb.Fatal(err)
	}
	messages := make([]*nats.Msg, events)
	for i := range messages {
		e, flags := g.Next()
		subject, payload := simulate.Message(nil, &e, flags.Bad)
		messages[i] = &nats.Msg{Subject: subject, Data: payload}
	}
	return messages
}

// reaches waits until one partition has come to a sequence.
func (p *process) reaches(sequence uint64) {
	p.tb.Helper()
	eventually(p.tb, fmt.Sprintf("a partition reaches sequence %d", sequence), func() error {
		at, err := p.reported()
		if err == nil && (len(at) == 0 || slices.Max(at) < sequence) {
			err = fmt.Errorf("positions are %d", at)
		}
		return err
	})
}
