-- Adds a member to the list, or keeps it on it, and takes those off whose time has passed.
-- Nobody stays longer than this member would without coming again: whose time is later came
-- before the clock stepped back, by a failover for one, and may be dead.
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
for _, other in ipairs(redis.call('ZRANGE', list, '(' .. ms(now + ttl), '+inf', 'BYSCORE')) do
  redis.call('ZADD', list, ms(now + ttl), other)
end
-- The list ends with the last of its members.
redis.call('PEXPIREAT', list, ms(now + ttl + 1))
return redis.call('ZRANGE', list, 0, -1)
