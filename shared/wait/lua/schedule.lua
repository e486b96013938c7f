-- Says when a wait is looked after next, as long as it is in a given state.
-- KEYS[1] record  KEYS[2] due set
-- ARGV[1] id  ARGV[2] state  ARGV[3] when, ms
-- Returns 1, or 0 where the state is another
if redis.call('HGET', KEYS[1], 's') ~= ARGV[2] then return 0 end
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
return 1
