-- Takes a slot for a job whose sweep is at the API already, whether or not one
-- is free: the API counts it, so we must.
-- KEYS[1] slots
-- ARGV[1] id  ARGV[2] end of the slot's lease, ms
-- Returns 1, or 0 where the job had one
return redis.call('ZADD', KEYS[1], 'NX', ARGV[2], ARGV[1])
