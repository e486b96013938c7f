-- restarts is a hash: run, the run id of Redis as it was seen last, and at, when
-- that was seen to change: with each start and each failover, and what was written
-- last before may have got lost. name is given when this Redis is seen for the first time,
-- at first. Processes remember it, and know by it one that came back empty: emptied is 1
-- then.
local restarts = base .. 'restarts'
local function run_id()
  local info = redis.pcall('INFO', 'server')
  return type(info) == 'string' and string.match(info, 'run_id:(%x+)')
end

-- note_run notes a Redis that is seen for the first time. known is what the caller had
-- as its name, '' for nothing. It returns the name.
local function note_run(known)
  local name = redis.call('HGET', restarts, 'name')
  if not name then
    local time = redis.call('TIME')
    name = time[1] .. '.' .. time[2]
    redis.call('HSET', restarts, 'name', name, 'first', ms(now))
    local run = run_id()
    if run then redis.call('HSETNX', restarts, 'run', run) end
  end
  if known ~= '' and known ~= name then redis.call('HSET', restarts, 'emptied', '1') end
  return name
end

-- read_runs is note_run that returns {run, at, name, first, emptied}.
local function read_runs(known)
  local function read() return redis.call('HMGET', restarts, 'run', 'at', 'name', 'first', 'emptied') end
  local runs = read()
  if runs[3] and (known == '' or known == runs[3]) then return runs end
  note_run(known)
  return read()
end

-- restarted is when this Redis was first seen to be another than before; 0 where
-- it always was the same, or does not tell.
local function restarted(runs)
  local run = run_id()
  if not run then return 0 end
  if runs[1] == run then return tonumber(runs[2] or '0') end
  redis.call('HSET', restarts, 'run', run)
  if not runs[1] then return 0 end
  redis.call('HSET', restarts, 'at', ms(now))
  return now
end

-- repeated reports whether a job that was accepted at a time may be one that Redis has
-- forgotten: its id is made of a client's key (UUID version 5), who repeats it, and Redis
-- came back empty less than window ms before.
local function repeated(runs, id, at, window)
  local version = string.byte(id, 7)
  return runs[5] and version >= 0x50 and version < 0x60 and at < tonumber(runs[4]) + window
end
