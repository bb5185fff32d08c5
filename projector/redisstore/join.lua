-- Adds a member to the list, or keeps it on it, and takes those off whose time has passed.
--
-- KEYS   the list: a sorted set of members by the time at which theirs ends
-- ARGV   the member; for how long it stays, in milliseconds
--
-- Returns all members.

local list, member, ttl = KEYS[1], ARGV[1], tonumber(ARGV[2])

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function ms(n) return string.format('%.0f', n) end

redis.call('ZREMRANGEBYSCORE', list, '-inf', '(' .. ms(now))
redis.call('ZADD', list, ms(now + ttl), member)
-- The list ends with the last of its members.
local last = redis.call('ZRANGE', list, -1, -1, 'WITHSCORES')
redis.call('PEXPIREAT', list, ms(tonumber(last[2]) + 1))
return redis.call('ZRANGE', list, 0, -1)
