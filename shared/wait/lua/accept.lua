-- Writes a job's first record, once.
-- KEYS[1] record  KEYS[2] restarts
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
if redis.call('EXISTS', KEYS[2]) == 0 then -- begin.lua asks whether it is still the same
  local info = redis.pcall('INFO', 'server')
  local run = type(info) == 'string' and string.match(info, 'run_id:(%x+)')
  if run then redis.call('HSET', KEYS[2], 'run', run) end
end
return {0, ARGV[1]}
