// Package letters is what an operator does with dead letters: list and look at them, replay
// them once their cause has gone, or drop them; and their number and age as metrics.
//
// A dead letter is known by the sequence that its event has in the event stream, which is the
// last token of its subject, pinstatus.dlq.<family>.<tenant>.<sequence>. The sequence that the
// letter itself has among the dead letters is its Place.
package letters
