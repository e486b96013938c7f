-- Ends a wait; the first writer wins. What has to follow (the event, cancelling
-- the sweep, freeing the slot) is noted as chores in the same step, so that a
-- crash after it loses nothing.
-- KEYS[1] record  KEYS[2] due set
-- ARGV[1] id  ARGV[2] state, c or f  ARGV[3] chores  ARGV[4] when they are due
-- ARGV[5] 1 to overturn a completed wait  ARGV[6] channel of changes
-- ARGV[7] when the sweep began, ms, for an end that comes before the answer to
-- its submission; or ''
-- ARGV[8...] fields and values of the end
-- Returns {1 ended by this | 0 ended before | -1 unknown, record}
local r = redis.call('HMGET', KEYS[1], 's', 'k', 'i')
local s = r[1]
if not s then return {-1, {}} end
if s == 'f' or (s == 'c' and ARGV[5] ~= '1') then
  return {0, redis.call('HGETALL', KEYS[1])}
end
local chores = ARGV[3]
if s ~= 's' and s ~= 'w' and not r[2] then chores = string.gsub(chores, 'c', '') end
redis.call('HSET', KEYS[1], 's', ARGV[2], 'o', chores)
if ARGV[7] ~= '' and not r[3] then redis.call('HSET', KEYS[1], 'i', ARGV[7]) end
for i = 8, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('HDEL', KEYS[1], 'l', 'b', 'j', 'g', 'n', 'w')
if not string.find(chores, 'c', 1, true) then redis.call('HDEL', KEYS[1], 'k', 'y') end
redis.call('PERSIST', KEYS[1])
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
redis.call('PUBLISH', ARGV[6], ARGV[1])
return {1, redis.call('HGETALL', KEYS[1])}
