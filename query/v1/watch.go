package v1

import (
	"net/http"

	"github.com/pinstatus/pinstatus/query"
)

// watch answers a view as a stream: as it is now, and whenever it has changed.
func (d *Dialect) watch(w http.ResponseWriter, r *http.Request, t *target, q *request) error {
	if r.Method == http.MethodHead {
		streamHeaders(w.Header())
		w.WriteHeader(http.StatusOK)
		return nil
	}
	f, err := d.service.Follow(r.Context(), t.Tenant, t.key)
	if err != nil {
		return err
	}
	query.AtEnd(r.Context(), f.Close)
	run := func() error { return d.newStream(w, r, f, t).run(r.Context()) }
	if q.minSequence == 0 {
		return run()
	}
	return query.Await(r.Context(), func() {
		c := t.within(q.condition(t.id))
		err = f.Reach(r.Context(), c.Sequence, c.For)
	}, func() error {
		q.waited(w.Header(), err)
		if err != nil {
			return err
		}
		return run()
	})
}
