// Package rebuild makes the views anew while the old ones serve, and changes over to them
// without a gap and without a step back.
//
// A new generation is filled beside the serving one, from the stream's start. It follows the
// old generation and stays behind it, is compared with it, and takes over in four steps that
// any crash may part:
//
//  1. Every position of the old generation is sealed: it stays where it is, and nobody commits
//     behind it. Readers go on reading it.
//  2. The new generation is folded on until every partition has reached the highest of these
//     positions, so that no reader can see one that is lower than what it has seen.
//  3. The record of the serving generation names the new one: a single compare and set.
//  4. The old generation's keys are dropped after a grace time.
//
// Whoever is interrupted is followed by another, who finds in the record of the serving
// generation how far it came: Next is being filled, Dropping is to be removed. A lease on
// partition 0 of the new generation keeps two of them apart, and the record is looked at again
// once it is held. Should it fail, the positions and the record do, which are only ever
// compared and set; and as no number is used twice, a run that was thought dead can neither
// drop what serves nor undo the seal of a later one.
//
// # Dead letters
//
// An event that cannot be folded is a dead letter once: the old generation's projectors
// publish those up to the positions at which they were sealed. The new generation never goes
// beyond the position of a partition that is not sealed, and publishes, from there on, those
// of which the sequence is greater than the sealed position of the partition that they
// belonged to.
//
// # Broken generations
//
// Partitions whose position says nothing about the stream (there is none, or a commit was left
// unfinished, or it is a position of another stream, or beyond this one's end) are not
// followed and not compared: the new generation goes up to the stream's end instead.
package rebuild
