-- Claims something that is to be done once.
-- KEYS[1] claim
-- ARGV[1] lease, ms
-- Returns 0 held by another | 1 won | 2 done before
local v = redis.call('GET', KEYS[1])
if v == 'done' then return 2 end
if v then return 0 end
redis.call('SET', KEYS[1], 'held', 'PX', ARGV[1])
return 1
