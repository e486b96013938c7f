-- Keeps an end that came after another, to be told of as a chore. There is room
-- for one.
-- KEYS[1] record  KEYS[2] due set
-- ARGV[1] id  ARGV[2] the end  ARGV[3] when the chore is due, ms
-- Returns {1 kept | 0 there is another one, or the wait has not ended | -1 unknown, record}
local r = redis.call('HMGET', KEYS[1], 's', 'o', 'd')
if not r[1] then return {-1, {}} end
if (r[1] ~= 'c' and r[1] ~= 'f') or (r[3] and r[3] ~= ARGV[2]) then
  return {0, redis.call('HGETALL', KEYS[1])}
end
local o = r[2] or ''
if not string.find(o, 'l', 1, true) then o = o .. 'l' end
redis.call('HSET', KEYS[1], 'o', o, 'd', ARGV[2])
redis.call('PERSIST', KEYS[1])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
return {1, redis.call('HGETALL', KEYS[1])}
