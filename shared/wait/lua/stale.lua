-- Lists slots whose lease has run out, and keeps them while they are checked: a
-- slot is freed only by someone who has seen that its job needs it no more.
-- KEYS[1] slots
-- ARGV[1] now, ms  ARGV[2] end of the lease while they are checked  ARGV[3] how many
-- Returns {id, ...}
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
for _, id in ipairs(ids) do redis.call('ZADD', KEYS[1], ARGV[2], id) end
return ids
