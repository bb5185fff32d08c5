package v1

import "net/http"

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
	defer f.Close()
	if q.minSequence > 0 {
		c := t.within(q.condition(t.id))
		if err := f.Reach(r.Context(), c.Sequence, c.For); err != nil {
			return err
		}
	}
	end, err := newStream(w, r, f, t).run(r.Context())
	if end != "" {
		d.service.WatchEnded(r.Context(), end)
	}
	return err
}
