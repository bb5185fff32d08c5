-- Moves a partition from one position to the next together with its views, or changes
-- nothing. Package redisstore says why no failure can part them.
--
-- KEYS   the position; the keys to drop; the keys to set
-- ARGV   the position record to start from, empty for none; the one to move to; the mark of
--        an unfinished commit; the number of keys to drop; then for each key to set its
--        value and when it expires, in Unix milliseconds, 0 for never
--
-- Returns 1 after success, else the position record found, empty for none.

local position, from, to, mark = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local drops = tonumber(ARGV[4])

local found = redis.call('GET', position) or ''
if found ~= from and found ~= mark then
  return found
end

redis.call('SET', position, mark)

for i = 2, 1 + drops do
  local reply = redis.pcall('DEL', KEYS[i])
  if type(reply) == 'table' and reply.err then
    if i > 2 then
      return reply
    end
    -- The first DEL was refused and nothing has changed yet.
    if found == '' then
      redis.call('SET', position, '', 'PXAT', 1)
    else
      redis.call('SET', position, found)
    end
    return reply
  end
end

local arg = 5
for i = 2 + drops, #KEYS do
  local expiry = ARGV[arg + 1]
  if expiry == '0' then
    redis.call('SET', KEYS[i], ARGV[arg])
  else
    redis.call('SET', KEYS[i], ARGV[arg], 'PXAT', expiry)
  end
  arg = arg + 2
end

redis.call('SET', position, to)
return 1
