-- Forgets dead letters; a removed Trigger is forgotten with its last one.
-- KEYS[1] meta
-- ARGV[1] name  ARGV[2..] ids
-- Returns the number forgotten.
local name, n = ARGV[1], 0
for i = 2, #ARGV do
  n = n + redis.call('ZREM', P .. 'buried:' .. name, ARGV[i])
  redis.call('HDEL', P .. 'dead:' .. name, 'm:' .. ARGV[i], 'p:' .. ARGV[i])
end
if redis.call('EXISTS', P .. 'buried:' .. name) == 0 then redis.call('SREM', P .. 'former', name) end
return n
