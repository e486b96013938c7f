-- Gives a dead letter to its Trigger again, with all its attempts. Under an order
-- key it goes before what waits there, since it is older.
-- KEYS[1] meta
-- ARGV[1] name  ARGV[2] id of the dead letter  ARGV[3] order key  ARGV[4] origin
-- Returns 1, or 0 if there is no such dead letter.
local name, id, key = ARGV[1], ARGV[2], ARGV[3]
local event = redis.call('HGET', P .. 'dead:' .. name, 'p:' .. id)
if not event then return 0 end
if key == '' or redis.call('HINCRBY', P .. 'order:' .. name, key, 1) == 1 then
  push(name, newid(), ARGV[4], key, 'e', event)
else
  redis.call('LPUSH', P .. 'wait:' .. name .. ':' .. key, ARGV[4] .. ' e' .. event)
  redis.call('HINCRBY', P .. 'waiting', name, 1)
end
save()
redis.call('HDEL', P .. 'dead:' .. name, 'm:' .. id, 'p:' .. id)
redis.call('ZREM', P .. 'buried:' .. name, id)
return 1
