-- Gives free slots to those in line: one tenant after the other, and within a
-- tenant first come, first served. Puts back in line whose time to stay away is
-- over. While the API is given time to recover nobody is admitted; then one, as
-- a probe.
-- KEYS[1] slots  KEYS[2] line  KEYS[3] ring  KEYS[4] places  KEYS[5] later
-- KEYS[6] gate
-- ARGV[1] now, ms  ARGV[2] slots in all, 0 for no limit  ARGV[3] end of the
-- slots' leases, ms  ARGV[4] end of a probe, ms  ARGV[5] how many at most
-- Returns {when to come again, ms, or "", id, id, ...}
local now, limit = tonumber(ARGV[1]), tonumber(ARGV[2])
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', ARGV[1], 'LIMIT', 0, 100)) do
  redis.call('ZREM', KEYS[5], id)
  local place = redis.call('HGET', KEYS[4], id)
  if place then
    local tenant = string.match(place, '^([^/]*)/')
    redis.call('ZADD', KEYS[2], 0, place)
    if not redis.call('ZSCORE', KEYS[3], tenant) then
      redis.call('ZADD', KEYS[3], redis.call('HINCRBY', KEYS[6], 'turn', 1), tenant)
    end
  end
end
local g = redis.call('HMGET', KEYS[6], 'until', 'fails')
local open = not g[1] or tonumber(g[1]) <= now
local out = {''}
while open and #out <= tonumber(ARGV[5]) do
  if limit > 0 and redis.call('ZCARD', KEYS[1]) >= limit then break end
  local tenant = redis.call('ZRANGE', KEYS[3], 0, 0)[1]
  if not tenant then break end
  local places = redis.call('ZRANGEBYLEX', KEYS[2], '[' .. tenant .. '/', '(' .. tenant .. '0', 'LIMIT', 0, 2)
  if places[1] then
    local id = string.sub(places[1], -16)
    redis.call('ZREM', KEYS[2], places[1])
    redis.call('HDEL', KEYS[4], id)
    redis.call('ZADD', KEYS[1], ARGV[3], id)
    out[#out + 1] = id
    if g[2] then
      redis.call('HSET', KEYS[6], 'until', ARGV[4], 'probing', '1')
      open = false
    end
  end
  if places[2] then
    redis.call('ZADD', KEYS[3], redis.call('HINCRBY', KEYS[6], 'turn', 1), tenant)
  else
    redis.call('ZREM', KEYS[3], tenant)
  end
end
local later = redis.call('ZRANGE', KEYS[5], 0, 0, 'WITHSCORES')[2]
local again = later and tonumber(later)
if redis.call('ZCARD', KEYS[3]) > 0 then
  local shut = tonumber(redis.call('HGET', KEYS[6], 'until') or '0')
  if shut > now and (not again or shut < again) then again = shut end
end
if again then out[1] = string.format('%.0f', again) end
return out
