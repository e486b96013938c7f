-- Gives a job a slot, or a place in line. Asking twice gives the same answer.
-- Nobody overtakes: while somebody stands in line, newcomers do too.
-- KEYS[1] slots  KEYS[2] line  KEYS[3] ring  KEYS[4] places  KEYS[5] later
-- KEYS[6] gate
-- ARGV[1] id  ARGV[2] place in line, "tenant/order id"  ARGV[3] tenant
-- ARGV[4] now, ms  ARGV[5] slots in all, 0 for no limit  ARGV[6] end of the
-- slot's lease, ms  ARGV[7] end of a probe, ms  ARGV[8] channel to wake admission
-- Returns 1 with a slot, 0 in line
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 1 end
if redis.call('HEXISTS', KEYS[4], ARGV[1]) == 1 then return 0 end
local g = redis.call('HMGET', KEYS[6], 'until', 'fails')
local open = not g[1] or tonumber(g[1]) <= tonumber(ARGV[4])
local limit = tonumber(ARGV[5])
local free = limit == 0 or redis.call('ZCARD', KEYS[1]) < limit
local alone = redis.call('ZCARD', KEYS[3]) == 0
if open and free and alone then
  redis.call('ZADD', KEYS[1], ARGV[6], ARGV[1])
  if g[2] then redis.call('HSET', KEYS[6], 'until', ARGV[7], 'probing', '1') end
  return 1
end
redis.call('HSET', KEYS[4], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], 0, ARGV[2])
if not redis.call('ZSCORE', KEYS[3], ARGV[3]) then
  redis.call('ZADD', KEYS[3], redis.call('HINCRBY', KEYS[6], 'turn', 1), ARGV[3])
end
if open and free then redis.call('PUBLISH', ARGV[8], 'admit') end
return 0
