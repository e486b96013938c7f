-- Notes that the broker refused the event of a job that was taken in: its client
-- was told so, and nobody is to send the event again on his behalf.
-- ARGV[3] id
-- Returns 1, or 0 where the job is not as it was taken in
local record = base .. ARGV[3]
if redis.call('HGET', record, 's') ~= 'a' then return 0 end
redis.call('HSET', record, 'O', '1')
return 1
