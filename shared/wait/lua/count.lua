-- Counts.
-- ARGV[3] after how many ms something due is overdue
-- Returns {in due, calls and last; queued; slots; overdue; consecutive failures, of
-- submissions or of reads}
local before = ms(now - tonumber(ARGV[3]))
local overdue = redis.call('ZCOUNT', due, '-inf', before) + redis.call('ZCOUNT', last, '-inf', before)
if every == 0 or booked() + every - (burst - reserve) * every <= now - tonumber(ARGV[3]) then
  -- Calls are available, and no supervisor grants them.
  overdue = overdue + redis.call('ZCOUNT', calls, '-inf', before)
end
-- An old failure says nothing about the present.
local function failing(key)
  local b = redis.call('HMGET', key, 'fails', 'until')
  return b[1] and tonumber(b[2] or '0') > now - 300000 and tonumber(b[1]) or 0
end
return {
  redis.call('ZCARD', due) + redis.call('ZCARD', calls) + redis.call('ZCARD', last), redis.call('HLEN', positions),
  redis.call('ZCARD', slots), overdue, math.max(failing(submit_breaker), failing(read_breaker)),
}
