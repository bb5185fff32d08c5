package main

import (
	"context"
	"io"
	"iter"

	"github.com/pinstatus/pinstatus/query/client"
)

// kind is a kind of views that get and watch are about.
type kind[V any] struct {
	name, noun string // in the command line, and in text

	get   func(context.Context, *client.Client, string, ...client.ReadOption) (*V, client.Meta, error)
	list  func(context.Context, *client.Client, []string) ([]V, []string, error)
	watch func(context.Context, *client.Client, string, ...client.ReadOption) iter.Seq2[client.Update[V], error]

	// print prints views as a table.
	print func(io.Writer, []V) error

	// changes are the lines that tell how a view has changed; before is empty for all of
	// it.
	changes func(before, now *V) [][]cell

	// widest is a line with the widest words that lines of changes are sure to have.
	widest []cell

	// gone is what is printed in JSON of an id without a view any more.
	gone func(id string) any
}

func pinKind() kind[client.PIN] {
	type gone struct {
		PINID string `json:"pinId"`
		Gone  bool   `json:"gone"`
	}
	return kind[client.PIN]{
		name: "pin", noun: "PIN code",
		get: func(ctx context.Context, c *client.Client, id string, opts ...client.ReadOption) (*client.PIN, client.Meta, error) {
			v, err := c.PIN(ctx, id, opts...)
			if err != nil {
				return nil, client.Meta{}, err
			}
			return &v.PIN, v.Meta, nil
		},
		list: func(ctx context.Context, c *client.Client, ids []string) ([]client.PIN, []string, error) {
			b, err := c.PINs(ctx, ids)
			if err != nil {
				return nil, nil, err
			}
			return b.Found, b.Missing, nil
		},
		watch: func(ctx context.Context, c *client.Client, id string, opts ...client.ReadOption) iter.Seq2[client.Update[client.PIN], error] {
			return c.WatchPIN(ctx, id, opts...)
		},
		print: printPINs, changes: pinChanges,
		gone: func(id string) any { return gone{id, true} },
	}
}

func accountKind() kind[client.Account] {
	type gone struct {
		AccountID string `json:"accountId"`
		Gone      bool   `json:"gone"`
	}
	return kind[client.Account]{
		name: "account", noun: "account",
		get: func(ctx context.Context, c *client.Client, id string, opts ...client.ReadOption) (*client.Account, client.Meta, error) {
			v, err := c.Account(ctx, id, opts...)
			if err != nil {
				return nil, client.Meta{}, err
			}
			return &v.Account, v.Meta, nil
		},
		list: func(ctx context.Context, c *client.Client, ids []string) ([]client.Account, []string, error) {
			b, err := c.Accounts(ctx, ids)
			if err != nil {
				return nil, nil, err
			}
			return b.Found, b.Missing, nil
		},
		watch: func(ctx context.Context, c *client.Client, id string, opts ...client.ReadOption) iter.Seq2[client.Update[client.Account], error] {
			return c.WatchAccount(ctx, id, opts...)
		},
		print: printAccounts, changes: accountChanges, widest: cells("", "", client.StatusLocked),
		gone: func(id string) any { return gone{id, true} },
	}
}
