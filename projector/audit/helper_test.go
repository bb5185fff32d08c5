package audit_test

import (
	"strconv"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pinstatus/pinstatus/consumer"
	"github.com/pinstatus/pinstatus/consumer/event"
	"github.com/pinstatus/pinstatus/projector/view"
)

// purgeBefore removes the events of a key that its latest erasure made void, and returns how
// many those were.
func (f *fixture) purgeBefore(family string, k view.Key) uint64 {
	f.TB.Helper()
	stream, err := f.JS.Stream(f.TB.Context(), consumer.EventStream)
	if err != nil {
		f.TB.Fatal(err)
	}
	subject := "pinstatus.p." + strconv.Itoa(k.Partition(partitions)) + "." + family + "." + k.Tenant + "." + event.EscapeToken(k.ID)
	var erasure uint64
	var erasedAt int64
	for seq := uint64(1); ; {
		m, err := stream.GetMsg(f.TB.Context(), seq, jetstream.WithGetMsgSubject(subject))
		if err != nil {
			break
		}
		var e event.Event
		published := event.SubjectPrefix + m.Subject[len("pinstatus.p.")+len(strconv.Itoa(k.Partition(partitions))):]
		if err := event.Decode(published, m.Header, m.Data, &e); err != nil {
			f.TB.Fatal(err)
		}
		if erases := e.Type == event.CodeErased || e.Type == event.AccountDeleted; erases && e.Time > erasedAt {
			erasure, erasedAt = m.Sequence, e.Time
		}
		seq = m.Sequence + 1
	}
	before := f.info().State.Msgs
	if err := stream.Purge(f.TB.Context(), jetstream.WithPurgeSubject(subject), jetstream.WithPurgeSequence(erasure)); err != nil {
		f.TB.Fatal(err)
	}
	return before - f.info().State.Msgs
}

func (f *fixture) info() *jetstream.StreamInfo {
	f.TB.Helper()
	stream, err := f.JS.Stream(f.TB.Context(), consumer.EventStream)
	if err != nil {
		f.TB.Fatal(err)
	}
	return stream.CachedInfo()
}

// account makes the stream remember that so many messages were erased.
func (f *fixture) account(removed uint64) {
	f.TB.Helper()
	c := f.info().Config
	if c.Metadata == nil {
		c.Metadata = map[string]string{}
	}
	c.Metadata["pinstatus.erased"] = strconv.FormatUint(removed, 10)
	if _, err := f.JS.UpdateStream(f.TB.Context(), c); err != nil {
		f.TB.Fatal(err)
	}
}
