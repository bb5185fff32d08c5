package view

// Read asks a store for one view, together with the position of its partition.
type Read struct {
	Key   Key
	Locks []string // PIN types whose locks are asked for; accounts only
}

// Record is a store's answer to one Read, all of one instant.
type Record struct {
	Position Position // of the view's partition; zero if it has none
	Value    []byte   // the view's stored form; nil if there is none
	Locks    []int64  // as asked: milliseconds that the lock key still lives, at least 1; 0 if there is none
	Now      int64    // the store's clock, Unix nanoseconds
}
