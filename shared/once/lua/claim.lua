-- Claims something that is to be done once.
-- KEYS[1] claim  KEYS[2] that it was won before
-- ARGV[1] lease, ms  ARGV[2] how long KEYS[2] is kept, ms
-- Returns {0 held by another | 1 won | 2 done before | 3 won, after a winner that
-- vanished, what was noted when it was done}
local v = redis.call('GET', KEYS[1])
if v and string.sub(v, 1, 4) == 'done' then return {2, string.sub(v, 6)} end
if v then return {0, ''} end
if redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('SET', KEYS[1], 'again', 'PX', ARGV[1])
  return {3, ''}
end
redis.call('SET', KEYS[2], '1', 'PX', ARGV[2])
redis.call('SET', KEYS[1], 'held', 'PX', ARGV[1])
return {1, ''}
