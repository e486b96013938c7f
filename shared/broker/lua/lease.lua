-- Leases the entries of a retry set that are due.
-- KEYS[1] due set  KEYS[2] retries hash
-- ARGV[1] now, Unix milliseconds  ARGV[2] end of the lease  ARGV[3] how many
-- ARGV[4] owner
-- Returns {next due time or "", lost, id, state, event, id, state, event, ...};
-- lost counts entries without an event, which are removed.
local out, lost = {'', ''}, 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])) do
  local f = redis.call('HMGET', KEYS[2], 'm:' .. id, 'p:' .. id)
  if f[1] and f[2] then
    redis.call('HSET', KEYS[2], 'o:' .. id, ARGV[4])
    redis.call('ZADD', KEYS[1], ARGV[2], id)
    out[#out + 1] = id
    out[#out + 1] = f[1]
    out[#out + 1] = f[2]
  else
    redis.call('ZREM', KEYS[1], id)
    redis.call('HDEL', KEYS[2], 'm:' .. id, 'p:' .. id, 'o:' .. id)
    lost = lost + 1
  end
end
out[2] = tostring(lost)
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if first[2] then out[1] = tostring(first[2]) end
return out
