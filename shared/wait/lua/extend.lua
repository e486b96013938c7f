-- Prolongs the lease of a running attempt.
-- ARGV[3] id  ARGV[4] attempt  ARGV[5] SUBMIT_LEASE, ms
-- Returns 1, or 0 where the attempt is no longer the one in charge
local record = base .. ARGV[3]
local r = redis.call('HMGET', record, 's', 'a')
if r[1] ~= 's' or r[2] ~= ARGV[4] then return 0 end
local till = now + tonumber(ARGV[5])
redis.call('HSET', record, 'y', ms(till))
await(due, ARGV[3], till)
return 1
