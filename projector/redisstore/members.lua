-- Reads the list of members.
--
-- KEYS   the list: a sorted set of members by the time at which theirs ends
--
-- Returns all members whose time has not passed.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZRANGE', KEYS[1], string.format('%.0f', now), '+inf', 'BYSCORE')
