package v1

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/pinstatus/pinstatus/projector/view"
	"github.com/pinstatus/pinstatus/query"
	"github.com/pinstatus/pinstatus/query/auth"
	"github.com/pinstatus/pinstatus/query/wire"
)

func (d *Dialect) batchPINs(w http.ResponseWriter, r *http.Request) error {
	p, err := d.enterPINs(r)
	if err != nil {
		return err
	}
	ids, err := readIDs(r)
	if err != nil {
		return err
	}
	return d.batch(w, r, p.Tenant, ids, query.PINKey)
}

func (d *Dialect) batchAccounts(w http.ResponseWriter, r *http.Request) error {
	p, err := d.enter(r, auth.ScopePINsRead)
	if err != nil {
		return err
	}
	ids, err := readIDs(r)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if !mayRead(p, id) {
			return d.forbid(r, p, auth.ReasonAccount, errOtherAccount)
		}
	}
	return d.batch(w, r, p.Tenant, ids, query.AccountKey)
}

// readIDs reads the request's body.
func readIDs(r *http.Request) ([]string, error) {
	if len(r.Header.Values(wire.HeaderMinSequence)) > 0 {
		return nil, errBatchWaits
	}
	if !isJSON(r.Header) {
		return nil, errMediaType
	}
	body, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, query.ErrBodyTooLarge
	case err != nil:
		return nil, badBody("has not come whole, or not in time")
	}
	return parseIDs(body)
}

func isJSON(h http.Header) bool {
	types := h.Values("Content-Type")
	if len(types) != 1 || len(h.Values("Content-Encoding")) > 0 {
		return false
	}
	name, params, err := mime.ParseMediaType(types[0])
	charset, given := params["charset"]
	return err == nil && name == "application/json" && (!given || strings.EqualFold(charset, "utf-8"))
}

// maxWhole is about the largest answer that is made as a whole, in bytes. A larger one is
// sent as it is made, in pieces of that size: 500 views can be many megabytes.
const maxWhole = 1 << 20

// batch answers many views, those that are there before the ids of the others.
func (d *Dialect) batch(w http.ResponseWriter, r *http.Request, t *query.Tenant, ids []string, keyOf func(*query.Tenant, string) view.Key) error {
	keys := make([]view.Key, len(ids))
	for i, id := range ids {
		if !query.ValidID(id) {
			return badBody(fmt.Sprintf("ids[%d]: not %s", i, idRule))
		}
		keys[i] = keyOf(t, id)
	}
	snaps, err := d.service.ReadAll(r.Context(), t, keys)
	if err != nil {
		return err
	}
	e := &encoder{buf: make([]byte, 0, 512*len(ids))} // not of the pool: it grows large
	sent, found := false, 0
	e.raw(`{"found":[`)
	for i := range snaps {
		if !snaps[i].Exists() {
			continue
		}
		if len(e.buf) >= maxWhole {
			w.Header().Set("Content-Type", "application/json")
			if !taken(w, e.buf) {
				return nil
			}
			sent = true
			e.reset()
		}
		e.comma(found)
		e.body(ids[i], &snaps[i])
		found++
	}
	e.missing(ids, snaps)
	if sent {
		taken(w, e.buf)
		return nil
	}
	_ = query.WriteBody(w, http.StatusOK, "application/json", e.buf) // fails only where nobody listens any more
	return nil
}

// taken sends a part of an answer, and reports whether anybody still listens.
func taken(w http.ResponseWriter, part []byte) bool {
	_, err := w.Write(part)
	return err == nil
}

// missing ends the list of what was found, and lists the ids of all else.
func (e *encoder) missing(ids []string, snaps []query.Snapshot) {
	e.raw(`],"missing":[`)
	n := 0
	for i := range snaps {
		if !snaps[i].Exists() {
			e.comma(n)
			e.str("", ids[i])
			n++
		}
	}
	e.raw(`]}`)
}
