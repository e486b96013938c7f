-- Notes that a parked job has got a slot: its turn is counted, and it comes due
-- again should nobody take the turn up.
-- KEYS[1] record  KEYS[2] due set
-- ARGV[1] id  ARGV[2] when to look again, ms
-- Returns {1 granted | 0 not parked | -1 unknown, record}
local r = redis.call('HMGET', KEYS[1], 's', 'l')
if not r[1] then return {-1, {}} end
if r[1] ~= 'p' then return {0, redis.call('HGETALL', KEYS[1])} end
redis.call('HINCRBY', KEYS[1], 'n', 1)
local due = ARGV[2]
if r[2] and tonumber(r[2]) < tonumber(due) then due = r[2] end
redis.call('ZADD', KEYS[2], due, ARGV[1])
return {1, redis.call('HGETALL', KEYS[1])}
