-- Writes a job's first record, once.
-- KEYS[1] record
-- ARGV[1] header  ARGV[2] fingerprint  ARGV[3] trace  ARGV[4] time to live, ms
-- Returns {0 new | 1 known | 2 known with another fingerprint, header as stored}
local r = redis.call('HMGET', KEYS[1], 's', 'f', 'h')
if r[1] then
  if r[2] and r[2] ~= ARGV[2] then return {2, r[3]} end
  if r[1] == 'a' then redis.call('HDEL', KEYS[1], 'O') end -- its event is about to be sent again
  return {1, r[3]}
end
redis.call('HSET', KEYS[1], 's', 'a', 'h', ARGV[1], 'f', ARGV[2])
if ARGV[3] ~= '' then redis.call('HSET', KEYS[1], 't', ARGV[3]) end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return {0, ARGV[1]}
