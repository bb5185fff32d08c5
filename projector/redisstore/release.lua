-- Gives a lease up, or changes nothing if another owner has it.
--
-- KEYS   the lease
-- ARGV   the owner

if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
return 1
