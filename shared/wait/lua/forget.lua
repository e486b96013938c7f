-- Sends a wait whose sweep the API does not know any more back to be submitted
-- again: waiting -> parked. It keeps its slot.
-- KEYS[1] record  KEYS[2] due set
-- ARGV[1] id  ARGV[2] trading job id  ARGV[3] end of the time in line, ms
-- ARGV[4] now, ms  ARGV[5] channel of changes
-- Returns {1 done | 0 no longer so, record}
local r = redis.call('HMGET', KEYS[1], 's', 'x')
if r[1] ~= 'w' or r[2] ~= ARGV[2] then return {0, redis.call('HGETALL', KEYS[1])} end
redis.call('HSET', KEYS[1], 's', 'p', 'l', ARGV[3], 'k', '1')
redis.call('HDEL', KEYS[1], 'x', 'b', 'p', 'j', 'g')
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
redis.call('PUBLISH', ARGV[5], ARGV[1])
return {1, redis.call('HGETALL', KEYS[1])}
