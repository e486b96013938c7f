-- Takes a job out of admission: slot, place in line, and time to stay away.
-- KEYS[1] slots  KEYS[2] line  KEYS[3] ring  KEYS[4] places  KEYS[5] later
-- ARGV[1] id  ARGV[2] channel to wake admission
-- Returns 1 where a slot got free
local place = redis.call('HGET', KEYS[4], ARGV[1])
if place then
  local tenant = string.match(place, '^([^/]*)/')
  redis.call('HDEL', KEYS[4], ARGV[1])
  redis.call('ZREM', KEYS[5], ARGV[1])
  redis.call('ZREM', KEYS[2], place)
  if redis.call('ZLEXCOUNT', KEYS[2], '[' .. tenant .. '/', '(' .. tenant .. '0') == 0 then
    redis.call('ZREM', KEYS[3], tenant)
  end
end
local freed = redis.call('ZREM', KEYS[1], ARGV[1])
if freed == 1 and redis.call('ZCARD', KEYS[3]) > 0 then redis.call('PUBLISH', ARGV[2], 'admit') end
return freed
