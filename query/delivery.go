package query

import (
	"context"

	"github.com/pinstatus/pinstatus/projector/view"
)

// Delivery is what became of the messages and calls of a PIN code. The error is
// ErrNotFound if nothing is known of it, or nothing any more: it was erased, or its
// retention has ended by the store's clock; else ErrUnavailable, ctx's, or a fault.
func (s *Service) Delivery(ctx context.Context, t *Tenant, pinID string) (*view.Delivery, error) {
	r, err := s.read(ctx, view.Read{Key: view.Key{Kind: view.KindPIN, Tenant: t.ID, ID: pinID}})
	readAt(ctx, r.Position)
	if err != nil {
		return nil, err
	}
	if r.Value == nil {
		return nil, ErrNotFound
	}
	d, _, err := view.DecodeDelivery(r.Value)
	if err != nil {
		return nil, s.corrupt(err)
	}
	if d.Erased || d.ExpiresAt != 0 && r.Now >= d.ExpiresAt {
		return nil, ErrNotFound
	}
	return d, nil
}
