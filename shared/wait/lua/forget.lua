-- Returns a wait whose sweep the API has lost for resubmission: waiting -> parked. It
-- keeps its slot, and the sweep's id, so that a late end of that sweep is not taken
-- for the next one's.
-- ARGV[3] id  ARGV[4] trading job id  ARGV[5] QUEUE_TIMEOUT, ms
-- Returns {1 done | 0 no longer so | -1 unknown, now, record}
local id = ARGV[3]
local record = base .. id
local r = redis.call('HMGET', record, 's', 'x', 'F')
if not r[1] then return {-1, ms(now), {}} end
succeeded(read_breaker)
if r[1] ~= 'w' or r[2] ~= ARGV[4] then return answer(0, id) end
redis.call('HSET', record, 's', 'p', 'l', ms(now + tonumber(ARGV[5])), 'w', ms(now), 'k', '1', 'F', enlist(r[3], r[2]))
redis.call('HDEL', record, 'x', 'b', 'p', 'j', 'g')
redis.call('ZREM', last, id)
await(calls, id, now)
redis.call('PUBLISH', changes, id)
return answer(1, id)
