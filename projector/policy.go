package projector

import "github.com/pinstatus/pinstatus/projector/fold"

// The policy that events are folded with.
type (
	Policy  = fold.Policy
	Tenant  = fold.Tenant
	PINType = fold.PINType
)
