package simulation

import (
	"context"
	"fmt"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/projector/view"
)

// letters is a process's way to the stream of dead letters, which takes one of each
// sequence.
type letters struct {
	w *world
	p *process
}

// PublishAll is of projector.DeadLetters.
func (l *letters) PublishAll(ctx context.Context, all []consumer.DeadLetter) error {
	kept := make([]letter, len(all))
	for i, d := range all {
		kept[i] = letter{d.Message.Sequence, string(d.Reason)}
	}
	if l.w.bug == lateLetters {
		p := partitionOf(all[0].Message, l.p.serving.Partitions)
		l.p.letters[p] = append(l.p.letters[p], func(ctx context.Context) { _ = l.publish(ctx, kept) })
		return nil
	}
	return l.publish(ctx, kept)
}

type letter struct {
	sequence uint64
	reason   string
}

func (l *letters) publish(ctx context.Context, all []letter) error {
	w, a := l.w, actorOf(ctx)
	for {
		what := fmt.Sprintf("dead letters %v", all)
		w.sched.await(a, what, nil)
		if w.over || ctx.Err() != nil && w.sched.chance(0.5) {
			return context.Cause(ctx)
		}
		store := len(all)
		failed := w.sched.chance(w.faults.letters)
		if failed {
			store = w.sched.rng.IntN(len(all) + 1)
		}
		w.note(a.name, "%s: %d are stored, failed %v", what, store, failed)
		for _, one := range all[:store] {
			w.takeLetter(one)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !failed:
			return nil
		case w.sched.chance(0.5):
			return errTimeout
		}
	}
}

// takeLetter stores a dead letter unless it is there.
func (w *world) takeLetter(one letter) {
	want, dead := w.oracle.letters[one.sequence]
	switch {
	case !dead:
		w.fail("message %d is a dead letter (%s), but can be taken", one.sequence, one.reason)
	case string(want) != one.reason:
		w.fail("message %d is a dead letter for %q, want %q", one.sequence, one.reason, want)
	}
	w.letters[one.sequence] = true
}

// checkLetters makes sure that a partition has not moved past a message that stands
// nowhere.
func (w *world) checkLetters(partition, partitions int, through uint64) {
	for i := range w.stream.messages {
		m := &w.stream.messages[i]
		if m.Sequence > through {
			return
		}
		if _, dead := w.oracle.letters[m.Sequence]; dead && !w.letters[m.Sequence] && partitionOf(m, partitions) == partition {
			w.fail("partition %d is at %d, and dead letter %d is not stored", partition, through, m.Sequence)
		}
	}
}

// notifier takes a process's change notices.
type notifier struct {
	w *world
	p *process
}

// Publish is of projector.Notifier. Whoever is told of a commit may read it; what a notice
// does not name has not changed.
func (n *notifier) Publish(subject string, data []byte) error {
	w := n.w
	if w.over {
		return nil
	}
	if w.sched.chance(w.faults.letters) {
		return errTimeout
	}
	var notice view.Notice
	if err := view.ParseNotice(data, &notice); err != nil {
		w.fail("%s: %v", n.p.name, err)
		return nil
	}
	commit, known := n.p.through[noticed{notice.Generation, notice.Partition, notice.To}]
	if g := commit.generation; !known || subject != view.NoticeSubject(g, notice.Partition) {
		w.fail("%s: a notice on %s of a commit to %d that never went through", n.p.name, subject, notice.To)
		return nil
	}
	g := commit.generation
	named := map[uint64]bool{}
	for _, k := range notice.Keys {
		named[k] = true
	}
	for _, k := range w.stream.keys {
		if k.Partition(g.Partitions) == notice.Partition && w.oracle.changed(k, notice.From, notice.To) != named[k.Hash()] {
			w.fail("%s: the notice of %d to %d names %v: %v, want the opposite", n.p.name, notice.From, notice.To, k, named[k.Hash()])
		}
	}
	d := w.store.partition(g, notice.Partition)
	if commit.losses == d.losses {
		if at := w.store.load(g, notice.Partition); at.Sequence < notice.To {
			w.fail("%s: a notice says that partition %d has reached %d, it is at %d", n.p.name, notice.Partition, notice.To, at.Sequence)
		}
	}
	return nil
}
