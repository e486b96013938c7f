-- Records that the broker refused the event of an accepted job: the client received
-- the error, so the supervisor must not resend the event.
-- ARGV[3] id
-- Returns 1, or 0 if the job is no longer in state accepted
local record = base .. ARGV[3]
if redis.call('HGET', record, 's') ~= 'a' then return 0 end
redis.call('HSET', record, 'O', '1')
return 1
