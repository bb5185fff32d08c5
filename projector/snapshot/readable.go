package snapshot

import (
	"fmt"

	"github.com/pinstatus/pinstatus/projector/fold"
	"github.com/pinstatus/pinstatus/projector/view"
)

// readable makes sure that a projector can go on from a view's stored form.
func readable(k view.Key, value []byte) (err error) {
	if k.Kind == view.KindPIN {
		_, err = fold.ParseCode(value)
	} else {
		_, err = fold.ParseAccount(value)
	}
	if err != nil {
		return fmt.Errorf("the view with the key hash %016x cannot be read: %w", k.Hash(), err)
	}
	return nil
}
