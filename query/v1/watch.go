package v1

import "net/http"

// watch answers a view as a stream: as it is now, and whenever it has changed.
func (d *Dialect) watch(w http.ResponseWriter, r *http.Request, t *target, q *request) error {
	if r.Method == http.MethodHead {
		streamHeaders(w.Header())
		w.WriteHeader(http.StatusOK)
		return nil
	}
	if err := d.awaitSequence(r, t, q); err != nil {
		return err
	}
	f, err := d.service.Follow(t.Tenant, t.key)
	if err != nil {
		return err
	}
	defer f.Close()
	return newStream(w, r, f, t).run(r.Context())
}

// awaitSequence waits for the sequence that a request asks for, if it does.
func (d *Dialect) awaitSequence(r *http.Request, t *target, q *request) error {
	if q.minSequence == 0 {
		return nil
	}
	_, err := d.wait(r, t, &request{wait: q.wait, minSequence: q.minSequence})
	return err
}
