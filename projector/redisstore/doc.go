// Package redisstore keeps the views in Redis 6.2 or later, a single server, one watched by
// Sentinel, or a Cluster.
//
// # A commit is all or nothing
//
// A commit is one Lua script over keys of one slot: if the position record is still the one
// that the commit starts from, drop and set keys, and move the position. Redis runs a script
// alone and hands its effects to replicas and to the append-only file as one transaction,
// but it does not undo what a script wrote before it failed. The script is therefore made so
// that a failure finds nothing to undo:
//
//   - It writes with SET and DEL only, which take a key of any type, and expiry times that
//     Redis would refuse never reach it. Only the comparison reads, before any write, so a
//     position of a wrong type is refused with nothing changed.
//   - What Redis asks of a writing script (memory below maxmemory, a primary, enough
//     replicas, a disk that works) it asks at the first write, and of a script without a
//     shebang line in every version since 6.2 only there, but for the disk and the replicas
//     in 6.2, which cannot change while a script runs. The first write is one of the position's own
//     record.
//   - That first write puts a mark of the unfinished commit, which no position record looks
//     like, in the place of the position; the last write replaces it by the new position.
//   - DEL comes next: a user who may not DEL is refused before any key has changed, and the
//     script puts the position back.
//
// Should a script still fail halfway, on a server that keeps other rules, the mark remains.
// It keeps the promise that views and position agree by saying that nothing is known:
// Read answers such a partition as one without a position, Load and Commit answer a
// [TornError], and only the very commit that failed, which writes the same bytes again, is
// let through and finishes the work. Where its projector is gone, a rebuild replaces the
// generation.
//
// # What the two sides may be allowed
//
// A reader needs the commands GET, PTTL, TIME, EVAL, EVALSHA, PING and INFO, and none that
// writes; a projector needs MGET, SET and DEL besides. Both need all keys under their
// prefix, and what their client asks of a server when it connects: HELLO, and in a Cluster
// COMMAND and CLUSTER SLOTS. The reading script runs by EVALSHA and not by EVALSHA_RO, which Redis
// 6.2 lacks, so key permissions limited to reading (%R~) do not suffice for it.
package redisstore
