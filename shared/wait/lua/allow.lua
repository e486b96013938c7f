-- Takes a token for one call to the API, if there is one.
-- KEYS[1] bucket
-- ARGV[1] now, ms  ARGV[2] tokens that come back in a minute  ARGV[3] tokens at most
-- ARGV[4] tokens to leave for more urgent calls
-- Returns 0, or how many ms until there will be one
local b = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local now, rate, most = tonumber(ARGV[1]), tonumber(ARGV[2]) / 60000, tonumber(ARGV[3])
local at = math.max(tonumber(b[2] or ARGV[1]), 0)
local tokens = tonumber(b[1] or ARGV[3])
if now > at then
  tokens = math.min(most, tokens + (now - at) * rate)
  at = now
end
local need = 1 + tonumber(ARGV[4])
local wait = 0
if tokens >= need then
  tokens = tokens - 1
else
  wait = math.ceil((need - tokens) / rate)
end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens), 'at', string.format('%.0f', at))
redis.call('PEXPIRE', KEYS[1], 600000)
return wait
