-- Ends an attempt without a sweep: submitting -> parked.
-- KEYS[1] record  KEYS[2] due set
-- ARGV[1] id  ARGV[2] attempt  ARGV[3] when it is due again, ms
-- ARGV[4] '1' if the sweep may be at the API all the same, else ''
-- ARGV[5] now, ms, to do so only if the attempt's lease has run out; '' always
-- ARGV[6] now, ms
-- Returns {1 done | 0 not that attempt's business, record}
local r = redis.call('HMGET', KEYS[1], 's', 'a', 'l', 'y')
if r[1] ~= 's' or r[2] ~= ARGV[2] or (ARGV[5] ~= '' and tonumber(r[4] or '0') > tonumber(ARGV[5])) then
  return {0, redis.call('HGETALL', KEYS[1])}
end
redis.call('HSET', KEYS[1], 's', 'p', 'w', ARGV[6])
redis.call('HDEL', KEYS[1], 'y')
redis.call('HINCRBY', KEYS[1], 'b', 1)
if ARGV[4] == '' then redis.call('HDEL', KEYS[1], 'k') end
local due = ARGV[3]
if r[3] and tonumber(r[3]) < tonumber(due) then due = r[3] end
redis.call('ZADD', KEYS[2], due, ARGV[1])
return {1, redis.call('HGETALL', KEYS[1])}
