-- Ends an attempt without a sweep: submitting -> parked. Where the sweep may be at
-- the API all the same, the job keeps its slot and is dealt another turn, with a
-- look; else it goes back to its place in line and its slot is free.
-- ARGV[3] id  ARGV[4] attempt  ARGV[5] place in line  ARGV[6] how long it stays
-- away, ms  ARGV[7] 1 if the sweep may be at the API  ARGV[8] 1 to do so only if
-- the attempt's lease has run out  ARGV[9] what is reported of submissions: '', 'ok',
-- or for how many ms the API asks for silence  ARGV[10] how long it may take at most
-- to find out about the sweep, ms; '' for as long as the job may be in line
-- Returns {1 done | 0 not that attempt's business | -1 unknown, now, record}
local id = ARGV[3]
local record = base .. id
local r = redis.call('HMGET', record, 's', 'a', 'l', 'y')
if not r[1] then return {-1, ms(now), {}} end
reported(gate, ARGV[9])
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
  stay(id, ARGV[5], now + tonumber(ARGV[6]))
  release(id)
end
return answer(1, id)
