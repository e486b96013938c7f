-- Takes or renews the lead of an ordered trigger on one stream.
-- KEYS[1] leader
-- ARGV[1] owner  ARGV[2] milliseconds it lasts
-- Returns 1 if the owner leads.
local leader = redis.call('GET', KEYS[1])
if leader and leader ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
