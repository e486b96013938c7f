-- Deals: turns to those in line, see turns.lua, and calls to waits that are due, in
-- order of due time. Who gets nothing is not touched.
-- ARGV[3] turns at most  ARGV[4] calls at most  ARGV[5] lease of a call, ms
-- ARGV[6] TURN_TIMEOUT, ms  ARGV[7] CALLBACK_TIMEOUT, ms
-- Returns {in how many ms to come again, '' where time alone brings nothing, now,
-- {id, record, ...} with turns, {id or extra, record, ...} with calls}
local calls_left, lease, callback_timeout = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[7])
local jobs = {}
local function head(set)
  local h = redis.call('ZRANGE', set, 0, 0, 'WITHSCORES')
  return h[1], tonumber(h[2])
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', later, '-inf', ms(now), 'LIMIT', 0, 100)) do
  redis.call('ZREM', later, id)
  local place = redis.call('HGET', places, id)
  if place then stand(id, place) end
end

begin_turns(tonumber(ARGV[3]), tonumber(ARGV[6]))
local reads_shut, reads_fails, floor = closed(reads)

local function deal_call(set, member, record)
  await(set, member, now + lease)
  jobs[#jobs + 1] = member
  jobs[#jobs + 1] = record
  calls_left = calls_left - 1
  if reads_fails and not reads_shut then
    try_out(reads, member)
    reads_shut = now + probe
  end
end

-- As from_line: each deals one and returns true, or returns false where it has
-- nothing to deal now.
local function from_last()
  local id, at = head(last)
  if not id or at > now then
    come(at)
    withdraw('last')
    return false
  end
  if calls_left == 0 or floor > now then
    if floor > now then come(floor) end
    withdraw('last')
    return false
  end
  if redis.call('HGET', base .. id, 's') ~= 'w' then
    redis.call('ZREM', last, id)
    return true
  end
  local wait = take_last('last')
  if wait > 0 then
    come(now + wait)
    return false
  end
  deal_call(last, id, redis.call('HGETALL', base .. id))
  return true
end

local function from_calls()
  local set, member, at = calls, head(calls)
  local extra, extra_at = head(extras)
  if extra and (not member or extra_at < at) then set, member, at = extras, extra, extra_at end
  if not member or at > now then
    come(at)
    withdraw('calls')
    return false
  end
  if calls_left == 0 or turns_left == 0 then
    withdraw('calls')
    return false
  end
  local r, kind = {}, 'extra'
  if set == calls then
    r = redis.call('HMGET', base .. member, 's', 'l', 'k', 'i', 'o')
    kind = r[1]
  end
  if kind == 'p' then
    if tonumber(r[2] or '0') <= now then -- its time is over: no call needed
      redis.call('ZREM', calls, member)
      await(due, member, now)
      redis.call('PUBLISH', wakes, 'due')
      return true
    end
    if gate_shut then
      await(calls, member, gate_shut)
      return true
    end
  elseif kind ~= 'w' and kind ~= 'extra' and not string.find(r[5] or '', 'c', 1, true) then
    redis.call('ZREM', calls, member)
    return true
  end
  if reads_shut then
    come(reads_shut)
    withdraw('calls')
    return false
  end
  local wait
  if kind == 'w' and tonumber(r[4]) + callback_timeout <= now then
    wait = take_last('calls')
  else
    wait = take('calls', kind == 'p' and calls_of(r[3]) or 1)
  end
  if wait > 0 then
    come(now + wait)
    return false
  end
  if kind == 'p' then
    deal_turn(member)
  else
    deal_call(set, member, kind == 'extra' and {} or redis.call('HGETALL', base .. member))
  end
  return true
end

while from_last() do end
local progress
repeat
  progress = from_line()
  progress = from_calls() or progress
until not progress

local _, at = head(later)
come(at)
return {again and ms(math.max(again - now, 1)) or '', ms(now), dealt, jobs}
