-- Forgets dead letters.
-- KEYS[1] buried set  KEYS[2] dead hash
-- ARGV    entry ids
-- Returns the number forgotten.
local n = 0
for _, id in ipairs(ARGV) do
  n = n + redis.call('ZREM', KEYS[1], id)
  redis.call('HDEL', KEYS[2], 'm:' .. id, 'p:' .. id)
end
return n
