// Package fold is the rules by which events become views: D1 to D5 for PIN codes, P1 to
// P7 for accounts. It does no I/O and reads no clock.
//
// The view of a key is a function of the set of its events and the tenant's policy: any
// order of arrival within the allowed lateness and any number of repeats give the same
// view. It is computed event by event in stream order, and what is kept of the events is
// bounded, so the rest of this text is what has to be kept for that.
//
// A PIN code keeps of each message and call its timeline and those events that still
// could decide something: see facts.go. It keeps a hash of every event it has seen, which
// finds repeats.
//
// An account keeps the events newer than its horizon, sorted, on top of a base into which
// all older ones are folded. See account.go.
package fold
