-- Removes a duplicate sweep that was cancelled.
-- ARGV[3] the extra
-- Returns 1, or 0 if it was removed before
release_slot(ARGV[3])
return redis.call('ZREM', extras, ARGV[3])
