-- Admits queued jobs, see admit.lua, and grants calls to waits that are due, in order
-- of due time. Waits that get nothing are not touched.
-- ARGV[3] admissions at most  ARGV[4] calls at most  ARGV[5] lease of a call, ms
-- ARGV[6] ADMISSION_TIMEOUT, ms  ARGV[7] CALLBACK_TIMEOUT, ms
-- Returns {in how many ms to run again, '' if only an event can help, now,
-- {id, record, ...} admitted, {id or extra, record, ...} with a call}
local calls_left, lease, callback_timeout = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[7])
local jobs = {}
local function head(set)
  local h = redis.call('ZRANGE', set, 0, 0, 'WITHSCORES')
  return h[1], tonumber(h[2])
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', later, '-inf', ms(now), 'LIMIT', 0, 100)) do
  redis.call('ZREM', later, id)
  local position = redis.call('HGET', positions, id)
  if position then enqueue(id, position) end
end

begin_admissions(tonumber(ARGV[3]), tonumber(ARGV[6]))
local read_open, read_fails, floor = open_until(read_breaker)

local function grant_call(set, member, record)
  await(set, member, now + lease)
  jobs[#jobs + 1] = member
  jobs[#jobs + 1] = record
  calls_left = calls_left - 1
  if read_fails and not read_open then
    probe_with(read_breaker, member)
    read_open = now + probe
  end
end

-- As admit_next: each grants one call and returns true, or returns false if it has
-- nothing to grant now.
local function from_last()
  local id, at = head(last)
  if not id or at > now then
    wake_at(at)
    withdraw('last')
    return false
  end
  if calls_left == 0 or floor > now then
    if floor > now then wake_at(floor) end
    withdraw('last')
    return false
  end
  if redis.call('HGET', base .. id, 's') ~= 'w' then
    redis.call('ZREM', last, id)
    return true
  end
  local wait = take_last('last')
  if wait > 0 then
    wake_at(now + wait)
    return false
  end
  grant_call(last, id, redis.call('HGETALL', base .. id))
  return true
end

local function from_calls()
  local set, member, at = calls, head(calls)
  local extra, extra_at = head(extras)
  if extra and (not member or extra_at < at) then set, member, at = extras, extra, extra_at end
  if not member or at > now then
    wake_at(at)
    withdraw('calls')
    return false
  end
  if calls_left == 0 or admissions_left == 0 then
    withdraw('calls')
    return false
  end
  local r, kind = {}, 'extra'
  if set == calls then
    r = redis.call('HMGET', base .. member, 's', 'l', 'k', 'i', 'o')
    kind = r[1]
  end
  if kind == 'p' then
    if tonumber(r[2] or '0') <= now then -- timed out: no call needed
      redis.call('ZREM', calls, member)
      await(due, member, now)
      redis.call('PUBLISH', wakes, 'due')
      return true
    end
    if submit_open then
      await(calls, member, submit_open)
      return true
    end
  elseif kind ~= 'w' and kind ~= 'extra' and not string.find(r[5] or '', 'c', 1, true) then
    redis.call('ZREM', calls, member)
    return true
  end
  if read_open then
    wake_at(read_open)
    withdraw('calls')
    return false
  end
  local wait
  if kind == 'w' and tonumber(r[4]) + callback_timeout <= now then
    wait = take_last('calls')
  else
    wait = take('calls', kind == 'p' and calls_for(r[3]) or 1)
  end
  if wait > 0 then
    wake_at(now + wait)
    return false
  end
  if kind == 'p' then
    admit(member)
  else
    grant_call(set, member, kind == 'extra' and {} or redis.call('HGETALL', base .. member))
  end
  return true
end

while from_last() do end
local progress
repeat
  progress = admit_next()
  progress = from_calls() or progress
until not progress

local _, at = head(later)
wake_at(at)
return {next_at and ms(math.max(next_at - now, 1)) or '', ms(now), admitted, jobs}
