-- Checks a parked wait that came due: whether its admission event is to be sent
-- again, unchanged, because no attempt has started. A wait that is neither queued nor
-- admitted is queued.
-- ARGV[3] id  ARGV[4] ADMISSION_TIMEOUT, ms  ARGV[5] position in the queue
-- Returns {1 send the admission again | 0 nothing to do | -1 unknown, now, record}
local id = ARGV[3]
local r = redis.call('HMGET', base .. id, 's', 'l', 'c')
if not r[1] then return {-1, ms(now), {}} end
if r[1] ~= 'p' then return answer(0, id) end
local till = tonumber(r[2] or '0')
if r[3] then
  await(due, id, math.min(now + tonumber(ARGV[4]), till))
  return answer(1, id)
end
if redis.call('ZSCORE', calls, id) then
  redis.call('ZREM', due, id)
else
  if redis.call('HEXISTS', positions, id) == 0 then enqueue(id, ARGV[5]) end
  await(due, id, till)
end
return answer(0, id)
