-- Notes what a poll found of a sweep that has not ended. Progress never falls.
-- ARGV[3] id  ARGV[4] progress  ARGV[5] next poll, in ms  ARGV[6] 1 if the sweep is
-- completed but its run id is missing  ARGV[7] CALLBACK_TIMEOUT, ms  ARGV[8] what is
-- reported of reads
-- Returns 1, or 0 where the wait is over
local id = ARGV[3]
local record = base .. id
reported(reads, ARGV[8])
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
