-- Ends an attempt without a sweep: submitting -> parked. If the sweep may still be at
-- the API, the job keeps its slot and is admitted again with a lookup; otherwise it
-- returns to its position in the queue and its slot is freed.
-- ARGV[3] id  ARGV[4] attempt  ARGV[5] position in the queue  ARGV[6] delay, ms
-- ARGV[7] 1 if the sweep may be at the API  ARGV[8] 1 to requeue only if the
-- attempt's lease has expired  ARGV[9] breaker report of submissions: '', 'ok', or
-- Retry-After in ms  ARGV[10] upper bound of the time to look the sweep up, ms; '' for
-- the job's queue timeout
-- Returns {1 done | 0 another attempt is in charge | -1 unknown, now, record}
local id = ARGV[3]
local record = base .. id
local r = redis.call('HMGET', record, 's', 'a', 'l', 'y')
if not r[1] then return {-1, ms(now), {}} end
report(submit_breaker, ARGV[9])
if r[1] ~= 's' or r[2] ~= ARGV[4] then return answer(0, id) end
if ARGV[8] == '1' and tonumber(r[4] or '0') > now then
  await(due, id, tonumber(r[4]))
  return answer(0, id)
end
local till = tonumber(r[3] or '0')
redis.call('HSET', record, 's', 'p', 'w', ms(now))
redis.call('HDEL', record, 'y')
redis.call('HINCRBY', record, 'b', 1)
if ARGV[7] == '1' then
  if ARGV[10] ~= '' and now + tonumber(ARGV[10]) < till then
    redis.call('HSET', record, 'l', ms(now + tonumber(ARGV[10])))
  end
  redis.call('ZREM', due, id)
  await(calls, id, now + tonumber(ARGV[6]))
else
  redis.call('HDEL', record, 'k')
  await(due, id, till)
  postpone(id, ARGV[5], now + tonumber(ARGV[6]))
  release_slot(id)
end
return answer(1, id)
