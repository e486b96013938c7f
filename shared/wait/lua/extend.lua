-- Prolongs the lease of a running attempt.
-- KEYS[1] record  KEYS[2] due set
-- ARGV[1] id  ARGV[2] attempt  ARGV[3] new end of the lease
-- Returns 1, or 0 where the attempt is no longer the one in charge
local r = redis.call('HMGET', KEYS[1], 's', 'a')
if r[1] ~= 's' or r[2] ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'y', ARGV[3])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
return 1
