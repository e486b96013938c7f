-- Records the result of a poll of a running sweep. Progress never decreases.
-- ARGV[3] id  ARGV[4] progress  ARGV[5] next poll, in ms  ARGV[6] 1 if the sweep is
-- completed but its run id is missing  ARGV[7] CALLBACK_TIMEOUT, ms  ARGV[8] breaker
-- report of reads
-- Returns 1, or 0 if the wait has ended
local id = ARGV[3]
local record = base .. id
report(read_breaker, ARGV[8])
local r = redis.call('HMGET', record, 's', 'p', 'i')
if r[1] ~= 'w' then return 0 end
if tonumber(ARGV[4]) > tonumber(r[2] or '0') then
  redis.call('HSET', record, 'p', ARGV[4])
  redis.call('PUBLISH', changes, id)
end
redis.call('HINCRBY', record, 'b', 1)
if ARGV[6] == '1' then redis.call('HINCRBY', record, 'j', 1) end
await_poll(id, now + tonumber(ARGV[5]), tonumber(r[3]) + tonumber(ARGV[7]))
return 1
