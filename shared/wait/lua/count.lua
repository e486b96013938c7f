-- Counts.
-- ARGV[3] after how many ms something due is overdue
-- Returns {in due, calls and last; in line; slots; overdue; failures of submissions
-- in a row}
local before = ms(now - tonumber(ARGV[3]))
local overdue = redis.call('ZCOUNT', due, '-inf', before) + redis.call('ZCOUNT', last, '-inf', before)
if every == 0 or booked() + every - (burst - reserve) * every <= now - tonumber(ARGV[3]) then
  -- There are calls, and nobody deals them.
  overdue = overdue + redis.call('ZCOUNT', calls, '-inf', before)
end
return {
  redis.call('ZCARD', due) + redis.call('ZCARD', calls) + redis.call('ZCARD', last), redis.call('HLEN', places),
  redis.call('ZCARD', slots), overdue, tonumber(redis.call('HGET', gate, 'fails') or '0'),
}
