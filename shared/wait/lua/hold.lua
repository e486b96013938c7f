-- Prolongs a slot's lease, if the job has one.
-- KEYS[1] slots
-- ARGV[1] id  ARGV[2] end of the lease, ms
-- Returns 1, or 0 where the job has no slot
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
return 1
