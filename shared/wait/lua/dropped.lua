-- Strikes off a sweep that was one too many and is gone.
-- ARGV[3] the extra
-- Returns 1, or 0 where it was struck off before
release(ARGV[3])
return redis.call('ZREM', extras, ARGV[3])
