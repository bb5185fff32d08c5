package acceptance
import ("testing";"github.com/pinstatus/pinstatus/projector/fold";"github.com/pinstatus/pinstatus/projector/fold/foldtest";"github.com/pinstatus/pinstatus/consumer/event"; "github.com/google/go-cmp/cmp"; "github.com/google/go-cmp/cmp/cmpopts")
func TestDebug(t *testing.T) {
	c := randomConfig(t)
	d := prepare(t, c)
	d.broker.sendAll(randomMessages(t, c, 2, 12))
	msgs := d.broker.stream(eventStream)
	ins := map[string][]fold.Input{}
	for _, m := range msgs {
		e := new(event.Event)
		if err := event.Decode(m.subject, m.header, m.payload, e); err != nil { t.Log(err); continue }
		if !e.Type.Family().OnCode() { continue }
		k := e.Tenant+"/"+e.Key
		ins[k] = append(ins[k], fold.Input{Event: e, Sequence: m.sequence, Received: m.received})
	}
	bad := 0
	for k, in := range ins {
		pol := c.policy(t, in[0].Event.Tenant)
		var f fold.Code; var r foldtest.Code
		for i, x := range in {
			a, b := f.Fold(x, pol), r.Fold(x, pol)
			w, g := r.View(), f.View()
			g.Sequence = w.Sequence
			if a != b || !cmp.Equal(w, g, cmpopts.EquateEmpty()) {
				bad++
				if bad < 3 { t.Errorf("%s: %v %v\n%s%s", k, a, b, foldtest.Describe(in[:i+1]), cmp.Diff(w,g)) }
				break
			}
		}
	}
	t.Logf("bad %d of %d", bad, len(ins))
}
