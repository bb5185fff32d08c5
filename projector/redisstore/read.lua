-- Reads a partition's position, views and locks, and the clock, all of one instant.
--
-- KEYS   the position; the views; the locks
-- ARGV   the number of views
--
-- Returns the clock's seconds and microseconds, then an element for each key: a value, or
-- for a lock what PTTL says.

local values = 1 + tonumber(ARGV[1])
local time = redis.call('TIME')
local reply = { time[1], time[2] }
for i = 1, values do
  reply[i + 2] = redis.call('GET', KEYS[i])
end
for i = values + 1, #KEYS do
  reply[i + 2] = redis.call('PTTL', KEYS[i])
end
return reply
