// Package foldtest is what the fold is tested against: a reference that computes every
// view from scratch out of all events of its key, written from the rules alone, and
// generators of event streams that reach every rule.
//
// The reference keeps all events for ever and starts again with each one: it is slow,
// and plain enough to be checked against the rules by reading.
package foldtest
