package query

import (
	"context"

	"github.com/pinstatus/pinstatus/projector/view"
)

// Delivery is what became of the messages and calls of a PIN code. The error is
// ErrNotFound if nothing is known of it, or nothing any more: it was erased, or its
// retention has ended by the store's clock; else it is as Read's.
func (s *Service) Delivery(ctx context.Context, t *Tenant, pinID string) (*view.Delivery, error) {
	snap, err := s.Read(ctx, t, PINKey(t, pinID))
	switch {
	case err != nil:
		return nil, err
	case snap.PIN == nil:
		return nil, ErrNotFound
	}
	return snap.PIN, nil
}

// delivery decodes a record; nil if nothing is known of the PIN code any more.
func delivery(r view.Record) (*view.Delivery, error) {
	d, _, err := view.DecodeDelivery(r.Value)
	if err != nil || d.Erased || d.ExpiresAt != 0 && r.Now >= d.ExpiresAt {
		return nil, err
	}
	return d, nil
}
