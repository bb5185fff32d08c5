// Package audit compares the views in a store with what the stream says they must be, while
// the system runs.
//
// Of every partition it holds that
//
//	views up to the position == fold(events up to the position)
//
// So it folds the stream again, in memory, up to the position at which it reads views from the
// store, and compares the bytes. A view that was read at a later position is compared once the
// fold has come there. What does not fit into the memory allowed is folded in several passes,
// each over a part of the partitions, or of the keys of one.
//
// [Run] audits the generation that serves; [Generations] compares two generations that are
// both in the store, for a rebuild.
package audit
