-- Gives the job that an idempotency key stands for.
-- KEYS[1] key
-- ARGV[1] id to stand for it from now on, if none does  ARGV[2] time to live, ms
-- Returns the id
local v = redis.call('GET', KEYS[1])
if v then return v end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
