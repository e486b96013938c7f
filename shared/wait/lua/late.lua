-- Stores a late end, whose event is sent as a pending action. A wait holds one.
-- ARGV[3] id  ARGV[4] the end  ARGV[5] when the action is due, in ms
-- Returns {1 stored | 0 there is another one, or the wait has not ended | -1 unknown, now, record}
local id = ARGV[3]
local record = base .. id
local r = redis.call('HMGET', record, 's', 'o', 'd')
if not r[1] then return {-1, ms(now), {}} end
if (r[1] ~= 'c' and r[1] ~= 'f') or (r[3] and r[3] ~= ARGV[4]) then return answer(0, id) end
local o = r[2] or ''
if not string.find(o, 'l', 1, true) then o = o .. 'l' end
redis.call('HSET', record, 'o', o, 'd', ARGV[4])
redis.call('PERSIST', record)
await(due, id, now + tonumber(ARGV[5]))
return answer(1, id)
