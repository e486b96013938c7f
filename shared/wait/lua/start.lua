-- Takes the right to call the API: parked -> submitting, or submitting again
-- where the attempt before let its lease run out. From here on the API may know
-- the sweep (field k).
-- KEYS[1] record  KEYS[2] due set
-- ARGV[1] id  ARGV[2] now, ms  ARGV[3] end of the attempt's lease
-- Returns {0 not ours | 1 ours | 2 ours, look for the sweep first, record}
local r = redis.call('HMGET', KEYS[1], 's', 'y', 'k')
local s = r[1]
if not s then return {0, {}} end
if s ~= 'p' and not (s == 's' and tonumber(r[2] or '0') <= tonumber(ARGV[2])) then
  return {0, redis.call('HGETALL', KEYS[1])}
end
redis.call('HSET', KEYS[1], 's', 's', 'y', ARGV[3], 'k', '1')
redis.call('HINCRBY', KEYS[1], 'a', 1)
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
return {r[3] and 2 or 1, redis.call('HGETALL', KEYS[1])}
