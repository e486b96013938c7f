-- Removes a consumer that has nothing pending.
-- KEYS[1] stream
-- ARGV[1] group  ARGV[2] consumer
-- Returns 1 if it was removed.
if #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) > 0 then return 0 end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
return 1
