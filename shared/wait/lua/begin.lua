-- Registers a wait before anything is called: accepted -> parked. A record that
-- is missing was lost with its Redis, so the sweep may be at the API already:
-- it is made anew and marked to be looked for. Any other state stays.
-- KEYS[1] record  KEYS[2] due set
-- ARGV[1] id  ARGV[2] header  ARGV[3] trace  ARGV[4] end of the time in line
-- ARGV[5] when to look after it should we die now
-- Returns the record
local s = redis.call('HGET', KEYS[1], 's')
if not s then
  redis.call('HSET', KEYS[1], 's', 'p', 'h', ARGV[2], 'l', ARGV[4], 'k', '1')
  if ARGV[3] ~= '' then redis.call('HSET', KEYS[1], 't', ARGV[3]) end
elseif s == 'a' then
  redis.call('HSET', KEYS[1], 's', 'p', 'l', ARGV[4])
  redis.call('PERSIST', KEYS[1])
end
if not s or s == 'a' then redis.call('ZADD', KEYS[2], ARGV[5], ARGV[1]) end
return redis.call('HGETALL', KEYS[1])
