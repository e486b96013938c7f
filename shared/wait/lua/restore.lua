-- Puts back the record of a job that Redis has lost, as far as its owner knows
-- it: parked, to be looked for at the API before it is submitted, or waiting for
-- a sweep whose id is known. A record that is there stays as it is.
-- KEYS[1] record  KEYS[2] due set
-- ARGV[1] id  ARGV[2] header  ARGV[3] trace  ARGV[4] when it is due, ms
-- ARGV[5] end of the time in line, ms  ARGV[6] turns to count from
-- ARGV[7] trading job id, or '' for a parked one  ARGV[8] when its sweep began, ms
-- ARGV[9] submissions after the first  ARGV[10] channel of changes
-- Returns {1 put back | 0 was there, record}
if redis.call('EXISTS', KEYS[1]) == 1 then return {0, redis.call('HGETALL', KEYS[1])} end
if ARGV[7] == '' then
  redis.call('HSET', KEYS[1], 's', 'p', 'h', ARGV[2], 'l', ARGV[5], 'k', '1', 'n', ARGV[6])
else
  redis.call('HSET', KEYS[1], 's', 'w', 'h', ARGV[2], 'x', ARGV[7], 'i', ARGV[8], 'n', ARGV[6])
  if ARGV[9] ~= '0' then redis.call('HSET', KEYS[1], 'u', ARGV[9]) end
end
if ARGV[3] ~= '' then redis.call('HSET', KEYS[1], 't', ARGV[3]) end
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
redis.call('PUBLISH', ARGV[10], ARGV[1])
return {1, redis.call('HGETALL', KEYS[1])}
