-- Is for a parked wait that came due: says whether its turn is to be told of once
-- more, the same as before, because nobody has taken it up. A wait that nobody
-- would ever come for is put in line.
-- ARGV[3] id  ARGV[4] TURN_TIMEOUT, ms  ARGV[5] place in line
-- Returns {1 tell of the turn | 0 nothing to do | -1 unknown, now, record}
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
  if redis.call('HEXISTS', places, id) == 0 then stand(id, ARGV[5]) end
  await(due, id, till)
end
return answer(0, id)
