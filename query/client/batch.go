package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"unicode/utf8"

	"github.com/pinstatus/pinstatus/query/wire"
)

// PINs asks for many PIN codes, of which up to 500 take one request. Those of which nothing is
// known are in Missing, which is no error. It needs a credential with the scope
// deliveries:read.
func (c *Client) PINs(ctx context.Context, ids []string) (*PINBatch, error) {
	all := &PINBatch{}
	if err := batches(ctx, c, pins, ids, func(b *wire.PINBatch) int {
		all.Found, all.Missing = append(all.Found, b.Found...), append(all.Missing, b.Missing...)
		return len(b.Found) + len(b.Missing)
	}); err != nil {
		return nil, fmt.Errorf("get PIN codes: %w", err)
	}
	return all, nil
}

// Accounts asks for many accounts, of which up to 500 take one request. Those that do not
// exist are in Missing, which is no error. It needs a credential with the scope pins:read.
func (c *Client) Accounts(ctx context.Context, ids []string) (*AccountBatch, error) {
	all := &AccountBatch{}
	if err := batches(ctx, c, accounts, ids, func(b *wire.AccountBatch) int {
		all.Found, all.Missing = append(all.Found, b.Found...), append(all.Missing, b.Missing...)
		return len(b.Found) + len(b.Missing)
	}); err != nil {
		return nil, fmt.Errorf("get accounts: %w", err)
	}
	return all, nil
}

// batches asks for as many ids at a time as the service takes; add counts of how many an answer
// tells. An error says which ones it is
// about, since the service counts each request's own.
func batches[B any](ctx context.Context, c *Client, collection string, ids []string, add func(*B) int) error {
	for i, id := range ids {
		if !utf8.ValidString(id) { // JSON would make another id of it
			return fmt.Errorf("ids[%d] is not UTF-8", i)
		}
	}
	first := 0
	for some := range slices.Chunk(ids, wire.MaxBatch) {
		body, err := json.Marshal(wire.BatchRequest{IDs: some})
		if err != nil {
			return err
		}
		b := new(B)
		_, err = c.ask(ctx, &request{method: http.MethodPost, path: collection + ":batchGet", body: body, views: len(some)}, b)
		if err == nil && add(b) != len(some) {
			err = errNoView
		}
		if err != nil {
			if len(ids) > wire.MaxBatch {
				err = fmt.Errorf("ids from %d to %d: %w", first, first+len(some)-1, err)
			}
			return err
		}
		first += len(some)
	}
	return nil
}
