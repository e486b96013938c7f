-- Admits queued jobs: tenants in rotation as share.lua lets them, first come, first
-- served within a tenant, each job with a slot and the calls that it needs. While the breaker is open no job
-- is admitted; then one, as a probe. An admitted job that has not started is not
-- admitted again.
local admitted = {} -- id, record, id, record, ...
local admissions_left, admission_timeout, next_at
local submit_open, submit_fails

local function wake_at(at)
  if at and (not next_at or at < next_at) then next_at = at end
end

local function begin_admissions(most, timeout)
  admissions_left, admission_timeout = most, timeout
  local _, probing
  submit_open, submit_fails, _, probing = open_until(submit_breaker)
  if submit_fails and not submit_open and probing then
    -- The probe may not have reported yet.
    local r = redis.call('HMGET', base .. probing, 's', 'c')
    if r[1] == 's' or (r[1] == 'p' and r[2]) then submit_open = now + probe end
  end
end

local function admit(id)
  local record = base .. id
  local till = tonumber(redis.call('HGET', record, 'l') or '0')
  redis.call('HINCRBY', record, 'n', 1)
  redis.call('HSET', record, 'c', ms(now))
  redis.call('ZADD', slots, 'NX', ms(now), id)
  redis.call('ZREM', calls, id)
  await(due, id, math.min(now + admission_timeout, till))
  admitted[#admitted + 1] = id
  admitted[#admitted + 1] = redis.call('HGETALL', record)
  admissions_left = admissions_left - 1
  if submit_fails then
    probe_with(submit_breaker, id)
    submit_open = now + probe
  end
end

-- admit_next admits one queued job and returns true, or returns false if none can be
-- admitted now.
local function admit_next()
  if admissions_left == 0 or submit_open or not slot_free() then
    withdraw('line')
    if submit_open and redis.call('ZCARD', rotation) > 0 then wake_at(submit_open) end
    return false
  end
  local tenant, found = next_tenant()
  if not tenant then
    withdraw('line')
    return false
  end
  local id = string.sub(found[1], -16)
  local r = redis.call('HMGET', base .. id, 's', 'k')
  local parked = r[1] == 'p'
  if parked then
    local wait = take('line', calls_for(r[2]))
    if wait > 0 then
      wake_at(now + wait)
      return false
    end
  end
  redis.call('ZREM', queue, found[1])
  redis.call('HDEL', positions, id)
  if found[2] then rotate(tenant) else redis.call('ZREM', rotation, tenant) end
  if parked then admit(id) end
  return true
end
