-- Notes what a poll found of a sweep that has not ended. Progress never falls.
-- KEYS[1] record  KEYS[2] due set
-- ARGV[1] id  ARGV[2] progress  ARGV[3] next poll, ms
-- ARGV[4] '1' if the sweep is completed but its run id is missing
-- ARGV[5] channel of changes  ARGV[6] deadline of the result, ms
-- Returns 1, or 0 where the wait is over
local r = redis.call('HMGET', KEYS[1], 's', 'p')
if r[1] ~= 'w' then return 0 end
if tonumber(ARGV[2]) > tonumber(r[2] or '0') then
  redis.call('HSET', KEYS[1], 'p', ARGV[2])
  redis.call('PUBLISH', ARGV[5], ARGV[1])
end
redis.call('HINCRBY', KEYS[1], 'b', 1)
if ARGV[4] == '1' then redis.call('HINCRBY', KEYS[1], 'j', 1) end
local due = ARGV[3]
if tonumber(ARGV[6]) < tonumber(due) then due = ARGV[6] end
redis.call('ZADD', KEYS[2], due, ARGV[1])
return 1
