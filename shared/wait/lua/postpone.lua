-- Puts a job that could not be submitted back in line, at the place it had, but
-- not before a given time. Its slot is free.
-- KEYS[1] slots  KEYS[2] places  KEYS[3] later  KEYS[4] ring
-- ARGV[1] id  ARGV[2] place in line  ARGV[3] not before, ms
-- ARGV[4] channel to wake admission
-- Returns 1 where a slot got free
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[3], ARGV[3], ARGV[1])
local freed = redis.call('ZREM', KEYS[1], ARGV[1])
if freed == 1 and redis.call('ZCARD', KEYS[4]) > 0 then redis.call('PUBLISH', ARGV[4], 'admit') end
return freed
