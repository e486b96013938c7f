-- Moves a dead letter back to the retry set, due now, with fresh attempts.
-- KEYS[1] due set  KEYS[2] retries hash  KEYS[3] buried set  KEYS[4] dead hash
-- ARGV[1] entry id  ARGV[2] now, Unix milliseconds  ARGV[3] fresh retry state
-- Returns 1, or 0 if there is no such dead letter.
local id = ARGV[1]
local event = redis.call('HGET', KEYS[4], 'p:' .. id)
if not event then return 0 end
redis.call('HSET', KEYS[2], 'p:' .. id, event, 'm:' .. id, ARGV[3])
redis.call('HDEL', KEYS[2], 'o:' .. id)
redis.call('ZADD', KEYS[1], ARGV[2], id)
redis.call('ZREM', KEYS[3], id)
redis.call('HDEL', KEYS[4], 'm:' .. id, 'p:' .. id)
return 1
