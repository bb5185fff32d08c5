package fold

import "time"

// Policy is how each tenant's events are folded. A Policy is not changed once it is in
// use: a reload makes a new one.
type Policy struct {
	Version uint64 // sum of the tenants' versions: it grows with every change
	Hash    string // over all that follows
	Tenants map[string]*Tenant
}

// Tenant is the policy of one tenant.
type Tenant struct {
	MaxClockSkew    time.Duration // how far an event's time may lie ahead of the broker's
	AllowedLateness time.Duration // how far behind an account's newest event others are folded in order
	CodeRetention   time.Duration // how long a PIN code's view lives after its newest event
	PINTypes        map[string]*PINType
}

// PINType is the lock policy of one PIN type.
type PINType struct {
	MaxAttempts   int             // failed attempts that lock the PIN, at least 1
	LockDurations []time.Duration // of the first, second, … lock; the last repeats; at least one
}
