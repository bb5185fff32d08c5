-- Reads a lease.
--
-- KEYS   the lease
--
-- Returns its owner, or nil for none, and its remaining milliseconds.

return { redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1]) }
