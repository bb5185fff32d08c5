// Package simulation runs several projectors, readers and a store that fails in every way
// it may, in one goroutine at a time and in an order that a seed decides, and compares
// whatever can be read with the fold of all acknowledged events.
//
// Everything that an actor asks of the world outside of it is a turn, for which it waits. One
// turn is given at a time, so that a run is the same however often its seed is run. Time is
// virtual: to wait costs nothing.
//
//	go test ./projector/simulation -seeds=10000
//	go test ./projector/simulation -run Simulation -seed=17 -v
//
// The second form prints every step of one run.
package simulation
