// Package snapshot saves the views of all partitions to one portable file, while the system
// runs, and finds files from which views that a store has lost can be restored. It is what a
// system goes on from whose stream does not hold its whole history any more.
//
// # What a snapshot says
//
// For each partition it holds a position and views, and they are to each other what they are
// in a store: the views are the fold of the partition's events up to the position, byte for
// byte, and there is a view for every key that had one. Partitions differ in their positions.
// A snapshot fits a stream if the stream holds every event behind the positions; to restore it
// is to write views and positions, and to fold on.
//
// # Why that holds though views change while they are copied
//
// A store can be asked for a position and some views of one instant (Load), and for the keys
// of all views, those being visited for sure that are there all the while (Scan). A partition
// is saved so:
//
//  1. Its position F is read. Then all views are scanned and copied, each with the position R
//     that it was read at.
//  2. Its position A is read, and its events behind F up to A are looked through. The views
//     that they are of are read again, and their newer copies take the place of the older. This
//     is repeated with A as F, and takes less time with each round, as less has changed.
//  3. Once they are few, the events of the last round are not read after, but folded: each onto
//     the newest copy of its view, if it lies behind that copy's R. The partition is saved at
//     that A.
//
// A view changes by events of its own key alone, and its state at a position is a function of
// the events up to there. So a copy made at R is also the view at A unless an event of its key
// lies between. In each round those keys are known, and all of them are read again at or behind
// A; by induction every copy is right at the last F of step 2 or behind it, and what lies
// between is folded by the very code of the projector. If the position has not moved while the
// last of a round's views were read again, they are right at A, and nothing is left to fold:
// that is how a system can be saved that rests, or whose configuration is not at hand.
//
// What of
//
//   - a view that appears after the scan has passed its place: it has an event behind F.
//   - a view that was erased, or an account that was deleted: an erasure is an event, and leaves
//     a view that says so. Events that an erasure removes from the stream before they were
//     looked through are missing from the copy; that is what a fold of the stream as it is now
//     says as well, and the erasure itself is there. A snapshot keeps what was erased after it
//     was made; restored, it is erased again by the event behind its position. [Contains] and
//     [Dir.Holding] tell which files that goes for.
//   - a view that the store drops while it is copied, or before, because its life has ended: an
//     event behind that starts a new view, with or without the old one (rule D5 and P6). A copy
//     says itself until when it holds. A view whose life has ended since is restored for a while
//     all the same, for the events that may still go on from it.
//   - a view that is gone when it is read again: its newest copy is none, and it is left out.
//   - a position that goes back, because a failover of the store lost writes: the partition is
//     started again. Positions are compared at every read and about every 50 ms. A store that
//     lost writes, got them back from the projector, and was scanned in between, all from one of
//     those looks to the next, would not be noticed; so the first round looks through some
//     thousand sequences before F as well, which is more than a failover loses that fast. What is
//     folded again is what it was, so copies from before are right.
//   - views that are lost whole: the partition has no position or is being filled again, and is
//     started again until it is whole.
//   - a rebuild: sealed partitions are waited for; when another generation serves, everything is
//     started again with it.
//   - a change of policy: events are folded here only if the views at both ends of the round
//     were folded with the policy at hand. Else they are left to the projector, and read again.
//   - a stream whose limits remove events before they were looked through: its first sequence is
//     read after them, and the partition is started again if it lies behind F+1.
//   - a stream that lost its tail, or was made anew: its creation time, last sequence and the
//     timestamps of the messages at the positions are compared at the end.
//
// # The file
//
// A file is "pinsnap", the byte of the format's version, and blocks. A block is a byte of its
// kind, the length of its payload, the payload, and a CRC-32C of the block's offset in the
// file (8 bytes), kind, length and payload. Lengths and checksums are 4 bytes; integers are
// little-endian.
//
//	H  header: JSON, first
//	V  views of one partition, at most 512 and about 1 MiB: for each its kind (1: PIN code,
//	   2: account), tenant, id, and stored form, the last three with their length before them
//	   as a varint
//	P  end of a partition's views, of which all V since the last P are: JSON, with the number of
//	   views and of portions (V blocks), and the position
//	E  end of the file: JSON, with the number of views and an XXH64 of all bytes before it
//
// Each partition has one P, in any order. The digest is the snapshot's id. Views are in the
// form in which stores have them, of the codec version that the header names; expiries and
// locks follow from them.
package snapshot
