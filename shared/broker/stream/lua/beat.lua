-- Shows that a consumer is alive.
-- KEYS[1] meta
-- ARGV[1] consumer  ARGV[2] how long that holds, ms; 0 to end it
-- Returns 1, or 0 where the last heartbeat had run out: others may have taken
-- over what this consumer has pending.
local key = P .. 'alive:' .. ARGV[1]
if ARGV[2] == '0' then return redis.call('DEL', key) end
local was = redis.call('EXISTS', key)
redis.call('DEL', P .. 'none') -- after a first write a full Redis does not refuse the next
redis.call('SET', key, '1', 'PX', ARGV[2])
return was
