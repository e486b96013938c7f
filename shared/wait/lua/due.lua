-- Leases waits that are due and need no API call: no other supervisor gets them
-- before the lease ends or the leaseholder reschedules them.
-- ARGV[3] lease, ms  ARGV[4] how many at most
-- Returns {now, id, record, id, record, ...}
local out = {ms(now)}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', ms(now), 'LIMIT', 0, ARGV[4])) do
  local record = redis.call('HGETALL', base .. id)
  if #record == 0 then
    redis.call('ZREM', due, id)
  else
    await(due, id, now + tonumber(ARGV[3]))
    out[#out + 1] = id
    out[#out + 1] = record
  end
end
return out
