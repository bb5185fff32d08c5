// Package redisstore keeps views and leases in Redis 6.2 or later: a single server, one that
// Sentinel watches, or a Cluster.
//
// # A commit is all or nothing
//
// A commit is one Lua script over keys of one slot: if the position record is still the one
// that the commit starts from, drop and set keys, and move the position. Redis runs a script
// alone, and hands what it wrote to replicas and to the append-only file as one transaction;
// but it does not undo what a script wrote before it failed. So the script is made in such a
// way that a failure finds nothing to undo:
//
//   - It writes with SET and DEL only, which take a key of any type, and no expiry that Redis
//     would refuse reaches it. Only the comparison reads, before any write: a position of a
//     wrong type is refused with nothing changed.
//   - What Redis asks of a script that writes (is there memory left below maxmemory, is this
//     a primary, are there enough replicas, does the disk work) it asks at the script's first
//     write. Once a script has written it is let through to its end; that holds for scripts
//     without a shebang line, which Redis 6.2 would not know. (6.2 asks for replicas and disk
//     again, but neither changes while a script runs.) The first write is one to the
//     position's own key.
//   - That first write puts a mark of the unfinished commit, which no position looks like, in
//     the place of the position. The last write replaces it by the new position.
//   - The keys to drop come next: a user who may not DEL is refused before a view or lock has
//     changed, and the script puts the position back.
//
// Should a script fail halfway all the same, on a server that keeps other rules, the mark
// remains. It keeps the promise that views and position agree, by saying that nothing is
// known: Read answers the partition as one without a position, Load and Commit answer a
// [TornError], and only the very commit that failed, which writes the same bytes again, is
// let through and finishes the work. If its projector is gone, a new generation replaces the
// views. To fold the same events again onto views that half include them would not do: an
// event that was folded may have fallen behind its account's horizon since, and would be
// taken for another.
//
// # What a scan promises
//
// [Store.Scan] and [Store.Drop] look through all keys of a server with SCAN, whose cursor is
// the server process's own: followed on another one, after a failover, it skips keys and says
// nothing. So a scan keeps to one connection for each server and fails when that breaks. In
// a Cluster the slots of the partitions must have an owner each, none of them on its way to
// another, and the same ones before and after. Whoever is told otherwise begins again.
//
// # What each side may be allowed
//
// A reader needs the commands GET, PTTL, TIME, EVAL, EVALSHA, PING and INFO; a projector
// MGET, SET and DEL besides, ZADD, ZREM, ZRANGE, ZREMRANGEBYSCORE and PEXPIREAT for the list
// of projectors, and SCAN to remove what is left of a restore that was given up; who drops
// partitions, UNLINK. All need all keys under their prefix, and in a Cluster CLUSTER SLOTS, and
// ASKING for a slot on its way to another server; to scan and drop, CLUSTER NODES. Permission
// for keys that is limited to reading (%R~) does not suffice for EVALSHA, whose read-only form
// Redis 6.2 lacks.
package redisstore
