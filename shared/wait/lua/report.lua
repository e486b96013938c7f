-- Tells the gate how a call to the API went. A success opens it. A failure
-- shuts it, for longer each time; failures while it is shut are news of the
-- same trouble and do not count, but for that of the probe.
-- KEYS[1] gate
-- ARGV[1] now, ms  ARGV[2] 1 for a success  ARGV[3] what the API asks to wait, ms
-- ARGV[4] shortest and ARGV[5] longest time to stay shut, ms
-- ARGV[6] channel to wake admission
-- Returns until when the gate is shut, ms, as text; "0" if it is open
local g = redis.call('HMGET', KEYS[1], 'until', 'fails', 'probing')
if ARGV[2] == '1' then
  if g[2] then
    redis.call('HDEL', KEYS[1], 'until', 'fails', 'probing')
    redis.call('PUBLISH', ARGV[6], 'admit')
  end
  return '0'
end
local now, shut, fails = tonumber(ARGV[1]), tonumber(g[1] or '0'), tonumber(g[2] or '0')
local asked = now + tonumber(ARGV[3])
if g[3] or shut <= now then
  fails = math.min(fails + 1, 30)
  shut = now + math.min(tonumber(ARGV[4]) * 2 ^ (fails - 1), tonumber(ARGV[5]))
end
if asked > shut then shut = asked end
local text = string.format('%.0f', shut)
redis.call('HSET', KEYS[1], 'until', text, 'fails', string.format('%.0f', math.max(fails, 1)))
redis.call('HDEL', KEYS[1], 'probing')
return text
