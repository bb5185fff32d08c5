package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	headerLag       = "Pinstatus-Lag-Seconds"
	headerRequestID = "X-Request-Id"
	userAgent       = "pinstatus-client"
	jsonType        = "application/json"

	maxView    = maxEvent // bytes of an answer for one view
	maxAnswer  = 16 * maxView
	maxProblem = 64 << 10
)

// request is a question, which may be sent several times.
type request struct {
	method string
	path   string // escaped, from the base URL on
	header http.Header
	body   []byte        // JSON; nil for none
	held   time.Duration // for which the service may hold its answer back
	views  int           // that are asked for at most; 0 is 1
}

// member is the path of a member of a collection. Paths are taken as they are sent, but not by
// everything in between: dot segments must not look like ones.
func member(collection, id string) (string, error) {
	switch id {
	case "":
		return "", errors.New("the id is empty")
	case ".", "..":
		return collection + "/" + strings.ReplaceAll(id, ".", "%2E"), nil
	}
	return collection + "/" + url.PathEscape(id), nil
}

// ask sends a request until it is answered, and reads the answer.
func (c *Client) ask(ctx context.Context, r *request, into any) (Meta, error) {
	return again(ctx, c.retry, func(ctx context.Context) (Meta, error) {
		limit := c.timeout + r.held
		bounded, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		meta, err := c.try(bounded, r, into)
		if err != nil && bounded.Err() != nil && ctx.Err() == nil {
			err = &exchangeError{fmt.Errorf("no answer within %s", limit), true}
		}
		return meta, err
	})
}

// try sends a request once.
func (c *Client) try(ctx context.Context, r *request, into any) (Meta, error) {
	res, err := c.send(ctx, c.http, r)
	if err != nil {
		return Meta{}, err
	}
	defer func() { _ = res.Body.Close() }()
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusNotModified:
		return Meta{}, ErrNotModified
	default:
		return Meta{}, failure(res)
	}
	if t := mediaType(res.Header); t != jsonType {
		return Meta{}, fmt.Errorf("answered with %q instead of JSON: is this the URL of the service?", t)
	}
	most := min(maxView*int64(max(1, r.views)), maxAnswer)
	body, err := io.ReadAll(io.LimitReader(res.Body, most+1))
	switch {
	case err != nil:
		return Meta{}, newExchangeError(fmt.Errorf("the answer ends early: %w", err))
	case int64(len(body)) > most:
		return Meta{}, fmt.Errorf("the answer is larger than %d bytes", most)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return Meta{}, fmt.Errorf("answered with malformed JSON: %w", err)
	}
	return newMeta(res.Header), nil
}

// send sends a request once. The caller closes the answer's body.
func (c *Client) send(ctx context.Context, by *http.Client, r *request) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, c.base+r.path, bytes.NewReader(r.body))
	if err != nil {
		return nil, errors.New("the URL is malformed")
	}
	req.Header.Set("Accept", jsonType)
	req.Header.Set("User-Agent", userAgent)
	if r.body != nil {
		req.Header.Set("Content-Type", jsonType)
	}
	maps.Copy(req.Header, r.header)
	credential, err := c.credential(ctx)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", credential)
	res, err := by.Do(req)
	if err != nil {
		return nil, newExchangeError(err)
	}
	return res, nil
}

// failure reads an answer that is no view.
func failure(res *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(res.Body, maxProblem))
	if err != nil {
		body = nil // the status says enough
	}
	return newError(res.StatusCode, res.Header, body)
}

func newMeta(h http.Header) Meta {
	m := Meta{ETag: plainETag(h.Get("ETag")), RequestID: h.Get(headerRequestID)}
	if seconds, err := strconv.ParseFloat(h.Get(headerLag), 64); err == nil && seconds >= 0 && seconds < 1e9 {
		m.Lag, m.LagKnown = time.Duration(seconds*float64(time.Second)), true
	}
	return m
}

// plainETag is the ETag of a view, of whatever form it was sent in: compressed, it ends in
// "-gzip".
func plainETag(tag string) string {
	if plain, ok := strings.CutSuffix(tag, `-gzip"`); ok {
		return plain + `"`
	}
	return tag
}
