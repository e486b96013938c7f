-- Gives up the lead of an ordered trigger on one stream.
-- KEYS[1] leader
-- ARGV[1] owner
-- Returns 1 if the owner led.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
