-- Keeps a dead letter and acknowledges its entry.
-- KEYS[1] stream  KEYS[2] due set  KEYS[3] retries hash
-- KEYS[4] buried set  KEYS[5] dead hash
-- ARGV[1] group  ARGV[2] entry id  ARGV[3] time of death, Unix milliseconds
-- ARGV[4] dead letter record  ARGV[5] event, encoded
-- Returns 1.
local id = ARGV[2]
redis.call('HSET', KEYS[5], 'm:' .. id, ARGV[4], 'p:' .. id, ARGV[5])
redis.call('ZADD', KEYS[4], ARGV[3], id)
redis.call('ZREM', KEYS[2], id)
redis.call('HDEL', KEYS[3], 'm:' .. id, 'p:' .. id, 'o:' .. id)
redis.call('XACK', KEYS[1], ARGV[1], id)
return 1
