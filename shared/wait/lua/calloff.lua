-- Notes that the broker refused the event of a job that was taken in: its client
-- was told so, and nobody is to send the event again on his behalf.
-- KEYS[1] record
-- Returns 1, or 0 where the job is not as it was taken in
if redis.call('HGET', KEYS[1], 's') ~= 'a' then return 0 end
redis.call('HSET', KEYS[1], 'O', '1')
return 1
