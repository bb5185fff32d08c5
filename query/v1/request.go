package v1

import (
	"net/http"
	"strconv"
	"time"

	"github.com/pinstatus/pinstatus/query/wire"
)

// request is what the headers of a request for a view ask.
type request struct {
	wait        time.Duration // 0: none asked for
	minSequence uint64        // 0: none asked for
	match       match
}

// parseRequest reads the headers. The error is a *refusal.
func parseRequest(h http.Header) (*request, error) {
	q := new(request)
	value, given, ok := preference(h.Values(wire.HeaderPrefer), "wait")
	if ok && given {
		q.wait, ok = parseWait(value)
	}
	if !ok {
		return nil, errPrefer
	}
	if values := h.Values(wire.HeaderMinSequence); len(values) > 0 {
		var err error
		q.minSequence, err = parseSequence(values[0])
		if err != nil || q.minSequence == 0 || len(values) > 1 {
			return nil, errMinSequence
		}
	}
	if q.match, ok = parseMatch(h.Values("If-None-Match")); !ok {
		return nil, errIfNoneMatch
	}
	return q, nil
}

// parseWait reads whole seconds from 1 to wire.MaxWait.
func parseWait(s string) (time.Duration, bool) {
	n, err := strconv.ParseUint(s, 10, 8)
	d := time.Duration(n) * time.Second
	return d, err == nil && n >= 1 && d <= wire.MaxWait
}
