-- Notes that history is to be copied into a Trigger's queue, up to now.
-- KEYS[1] meta
-- ARGV[1] name  ARGV[2] position after which it begins
-- Returns 1, or 0 if there is no such Trigger.
local name = ARGV[1]
if redis.call('HEXISTS', P .. 'routes', name) == 0 then return 0 end
local to = newid()
save()
redis.call('HSET', P .. 'fill:' .. name, 'after', ARGV[2], 'to', to)
return 1
