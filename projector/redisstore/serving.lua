-- Replaces the record of the serving generation, or changes nothing if it is another one.
--
-- KEYS   the record
-- ARGV   the record to replace, empty for none; the new one
--
-- Returns the record that is there afterwards.

local found = redis.call('GET', KEYS[1]) or ''
if found ~= ARGV[1] then
  return found
end
redis.call('SET', KEYS[1], ARGV[2])
return ARGV[2]
