-- restarts is a hash: run, the run id of Redis as it was seen last, and at, when
-- that was seen to change. It changes with each start and each failover: what was
-- written last before may have got lost.
local restarts = base .. 'restarts'
local function run_id()
  local info = redis.pcall('INFO', 'server')
  return type(info) == 'string' and string.match(info, 'run_id:(%x+)')
end

-- note_run records the run id of Redis with the first job.
local function note_run()
  if redis.call('EXISTS', restarts) == 1 then return end
  local run = run_id()
  if run then redis.call('HSET', restarts, 'run', run) end
end

-- restarted is when this Redis was first seen to be another than before; 0 where
-- it always was the same, or does not tell.
local function restarted()
  local run = run_id()
  if not run then return 0 end
  local known = redis.call('HMGET', restarts, 'run', 'at')
  if known[1] == run then return tonumber(known[2] or '0') end
  redis.call('HSET', restarts, 'run', run)
  if not known[1] then return 0 end
  redis.call('HSET', restarts, 'at', ms(now))
  return now
end
