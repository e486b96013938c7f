-- Registers a wait before anything is called: accepted -> parked. A record that
-- is missing was lost with its Redis, so the sweep may be at the API already:
-- it is made anew and marked to be looked for. So is one that was there before
-- this Redis was started: what was written last may have got lost with the one
-- before, the attempt that submitted the sweep too. Any other state stays.
-- KEYS[1] record  KEYS[2] due set  KEYS[3] restarts
-- ARGV[1] id  ARGV[2] header  ARGV[3] trace  ARGV[4] end of the time in line
-- ARGV[5] when to look after it should we die now  ARGV[6] time to live of an
-- accepted record, ms  ARGV[7] the time in line, ms
-- Returns the record
local r = redis.call('HMGET', KEYS[1], 's', 'k', 'l')
local s = r[1]

-- restarted is when, by its own clock, this Redis was first seen to be another
-- than before (its run id changes with each start and each failover); 0 where it
-- always was the same, or does not tell.
local function restarted()
  local info = redis.pcall('INFO', 'server')
  local run = type(info) == 'string' and string.match(info, 'run_id:(%x+)')
  if not run then return 0 end
  local known = redis.call('HMGET', KEYS[3], 'run', 'at')
  if known[1] == run then return tonumber(known[2] or '0') end
  redis.call('HSET', KEYS[3], 'run', run)
  if not known[1] then return 0 end
  local t = redis.call('TIME')
  local at = t[1] * 1000 + math.floor(t[2] / 1000)
  redis.call('HSET', KEYS[3], 'at', string.format('%.0f', at))
  return at
end

-- written is since when the record has been as it is, at the latest.
local function written()
  if s == 'p' then return tonumber(r[3] or '0') - tonumber(ARGV[7]) end
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000) - tonumber(ARGV[6]) + redis.call('PTTL', KEYS[1])
end

if (s == 'a' or s == 'p') and not r[2] and written() < restarted() then
  redis.call('HSET', KEYS[1], 'k', '1')
end
if not s then
  redis.call('HSET', KEYS[1], 's', 'p', 'h', ARGV[2], 'l', ARGV[4], 'k', '1')
  if ARGV[3] ~= '' then redis.call('HSET', KEYS[1], 't', ARGV[3]) end
elseif s == 'a' then
  redis.call('HSET', KEYS[1], 's', 'p', 'l', ARGV[4])
  redis.call('PERSIST', KEYS[1])
end
if not s or s == 'a' then redis.call('ZADD', KEYS[2], ARGV[5], ARGV[1]) end
return redis.call('HGETALL', KEYS[1])
