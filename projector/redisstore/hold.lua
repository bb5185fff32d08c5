-- Takes a lease or keeps it, or leaves it to another owner who has it, if only for a time.
--
-- KEYS   the lease
-- ARGV   the owner; for how long, in milliseconds
--
-- Returns the owner that has the lease afterwards, and for how many more milliseconds.

local lease, owner, ttl = KEYS[1], ARGV[1], ARGV[2]

local found = redis.call('GET', lease)
if found and found ~= owner then
  local left = redis.call('PTTL', lease)
  -- A lease without an end, which this script does not leave, would be held for ever.
  if left >= 0 then
    -- Whoever lives renews it long before. One that lasts longer was taken before the clock
    -- stepped back, by a failover for one, and its owner may be dead.
    if left > tonumber(ttl) then
      redis.call('SET', lease, found, 'PX', ttl)
      left = tonumber(ttl)
    end
    return { found, left }
  end
end
redis.call('SET', lease, owner, 'PX', ttl)
return { owner, tonumber(ttl) }
