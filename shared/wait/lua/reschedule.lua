-- Reschedules the next API call of a wait.
-- ARGV[3] id, or an extra  ARGV[4] the required state; x for an extra  ARGV[5] when,
-- in ms  ARGV[6] CALLBACK_TIMEOUT, ms  ARGV[7] breaker report of reads
-- Returns 1, or 0 if the state differs
local id, at = ARGV[3], now + tonumber(ARGV[5])
report(read_breaker, ARGV[7])
if ARGV[4] == 'x' then return redis.call('ZADD', extras, 'XX', 'CH', ms(at), id) end
local r = redis.call('HMGET', base .. id, 's', 'i', 'o')
if r[1] ~= ARGV[4] then return 0 end
if r[1] == 'w' then
  await_poll(id, at, tonumber(r[2]) + tonumber(ARGV[6]))
else
  if not string.find(r[3] or '', 'c', 1, true) then return 0 end
  await(calls, id, at)
end
if at <= now then redis.call('PUBLISH', wakes, 'admit') end
return 1
