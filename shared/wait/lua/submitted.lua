-- Notes the API's id of a sweep: submitting -> waiting. An attempt that was
-- overtaken (parked again) still brings the answer home. A wait that has ended
-- meanwhile stays ended; where its sweep is not wanted any more, cancelling it
-- becomes a chore that is due at once.
-- KEYS[1] record  KEYS[2] due set
-- ARGV[1] id  ARGV[2] trading job id  ARGV[3] now, ms  ARGV[4] estimate, ms
-- ARGV[5] first poll, ms  ARGV[6] channel of changes  ARGV[7] deadline of the
-- result, ms
-- Returns {0 ended | 1 waiting | 2 waiting for another sweep, record}; -1 for unknown
local r = redis.call('HMGET', KEYS[1], 's', 'x', 'e', 'o', 'i')
local s = r[1]
if not s then return {-1, {}} end
local outcome = 1
if s == 's' or s == 'p' then
  redis.call('HSET', KEYS[1], 's', 'w', 'x', ARGV[2], 'i', ARGV[3])
  if ARGV[4] ~= '0' then redis.call('HSET', KEYS[1], 'g', ARGV[4]) end
  if r[5] then redis.call('HINCRBY', KEYS[1], 'u', 1) end
  redis.call('HDEL', KEYS[1], 'y', 'k', 'b', 'l', 'w')
  local due = ARGV[5]
  if tonumber(ARGV[7]) < tonumber(due) then due = ARGV[7] end
  redis.call('ZADD', KEYS[2], due, ARGV[1])
  redis.call('PUBLISH', ARGV[6], ARGV[1])
elseif s == 'w' then
  if r[2] ~= ARGV[2] then outcome = 2 end
else
  outcome = 0
  if not r[2] then redis.call('HSET', KEYS[1], 'x', ARGV[2], 'i', ARGV[3]) end
  local unwanted = r[3] == 'cancelled' or r[3] == 'timed_out' or r[3] == 'undeliverable'
  if s == 'f' and unwanted then
    local o = r[4] or ''
    if not string.find(o, 'c', 1, true) then redis.call('HSET', KEYS[1], 'o', o .. 'c') end
    redis.call('PERSIST', KEYS[1])
    redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
  end
end
return {outcome, redis.call('HGETALL', KEYS[1])}
