package view

import "time"

// Lease says who works on a partition, and for how long it may still count on being alone.
// It saves work and decides nothing: what is committed is decided by the position. The zero
// Lease stands for none.
type Lease struct {
	Owner     string
	Remaining time.Duration // by the store's clock; rounded down to the millisecond
}
