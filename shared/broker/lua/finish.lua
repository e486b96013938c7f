-- Removes delivered entries from a retry set.
-- KEYS[1] due set  KEYS[2] retries hash
-- ARGV    entry ids
-- Returns the number removed.
local n = 0
for _, id in ipairs(ARGV) do
  n = n + redis.call('ZREM', KEYS[1], id)
  redis.call('HDEL', KEYS[2], 'm:' .. id, 'p:' .. id, 'o:' .. id)
end
return n
