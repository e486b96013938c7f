-- Registers a job's wait and starts an attempt if the job is admitted, or can be
-- admitted at once; otherwise queues it. While other jobs are queued that could be
-- admitted, new ones are queued behind them. From the first attempt on the API may know the sweep (field k).
-- A missing record was lost with its Redis: it is created again and marked so. So is
-- a record written before this Redis was started: the attempt that submitted the
-- sweep may have been lost with the previous one. So is one that a client has asked for
-- again by its key after Redis came back empty (k is 2 then). Concurrent calls put at most
-- one attempt in charge.
-- ARGV[3] id  ARGV[4] header  ARGV[5] trace  ARGV[6] position in the queue,
-- "tenant/order id"  ARGV[7] QUEUE_TIMEOUT, ms  ARGV[8] SUBMIT_LEASE, ms  ARGV[9] 1
-- to request one more call, for a health check  ARGV[10] time to live of an accepted
-- record, ms  ARGV[11] the name of this Redis (restarts.lua) as this process knows
-- it, or ''  ARGV[12] for how long keys are repeated after Redis came back empty, ms
-- Returns {1 in charge | 2 in charge, find the sweep first | 3 queued | 4 another
-- attempt is in charge | 5 submitted | 6 ended, now, record, calls granted, 1 if one
-- is for the health check, the name of this Redis}
local id, position = ARGV[3], ARGV[6]
local record = base .. id
local runs = read_runs(ARGV[11])
local function reply(outcome, granted, check)
  local out = answer(outcome, id)
  out[4], out[5], out[6] = granted or 0, check or 0, runs[3]
  return out
end
local r = redis.call('HMGET', record, 's', 'y', 'k', 'c', 'l')
local s, look = r[1], r[3]
if s == 'c' or s == 'f' then return reply(6) end
if s == 'w' then return reply(5) end

-- doubted: the record was written before Redis was restarted, at the latest, or the job
-- may have been there before Redis lost everything.
local doubted = false
if (s == 'a' or s == 'p') and not look then
  local at = s == 'p' and tonumber(r[5] or '0') - tonumber(ARGV[7])
    or now - tonumber(ARGV[10]) + redis.call('PTTL', record)
  if at < restarted(runs) then look = '1' elseif repeated(runs, id, at, tonumber(ARGV[12])) then look = '2' end
  doubted = look and true or false
  if doubted then redis.call('HSET', record, 'k', look) end
end

local fresh_one = not s or s == 'a'
local till = tonumber(r[5] or '0')
if fresh_one then
  till = now + tonumber(ARGV[7])
  if not s then
    look = '1'
    redis.call('HSET', record, 's', 'p', 'h', ARGV[4], 'l', ms(till), 'k', '1')
    if ARGV[5] ~= '' then redis.call('HSET', record, 't', ARGV[5]) end
  else
    redis.call('HSET', record, 's', 'p', 'l', ms(till))
    redis.call('PERSIST', record)
  end
end

local n = calls_for(look)
if s == 's' then
  -- An attempt whose lease has expired is taken over if calls are available; otherwise
  -- the supervisor reclaims it and the job is admitted again.
  if tonumber(r[2] or '0') > now or try(n) > 0 then return reply(4) end
elseif r[4] then
  -- The breaker may have opened since the admission, and a lookup was not among the
  -- calls granted with it.
  local open, _, _, probing = open_until(submit_breaker)
  if doubted or (open and probing ~= id) then
    redis.call('HDEL', record, 'c')
    if probing == id then redis.call('HDEL', submit_breaker, 'until', 'probing') end -- another job is the probe
    if look and slots_max > 0 then
      redis.call('ZREM', due, id)
      await(calls, id, now) -- it keeps its slot: its sweep may be at the API
    else
      redis.call('ZREM', slots, id)
      await(due, id, till)
      enqueue(id, position)
    end
    redis.call('PUBLISH', wakes, 'admit')
    return reply(3)
  end
  -- The calls granted with the admission may have expired. If no others are available
  -- now, the attempt waits for them.
  if now - tonumber(r[4]) > fresh and try(n) > 0 then n = 0 end
elseif not fresh_one then
  return reply(3)
else
  local open, fails = open_until(submit_breaker)
  local free = not open and slot_free() and may_hold(string.match(position, '^([^/]*)/'))
  local first = free and not next_tenant()
  if not (first and take('line', n) == 0) then
    enqueue(id, position)
    await(due, id, till)
    if first then redis.call('PUBLISH', wakes, 'admit') end
    return reply(3)
  end
  hold_slot(id)
  if fails then probe_with(submit_breaker, id) end
end

local until_ = now + tonumber(ARGV[8])
redis.call('HSET', record, 's', 's', 'y', ms(until_), 'k', look or '1')
redis.call('HINCRBY', record, 'a', 1)
redis.call('ZREM', calls, id)
await(due, id, until_)
if r[4] then
  redis.call('HDEL', record, 'c')
  if slots_max == 0 then release_slot(id) end
end
local check = ARGV[9] == '1' and try(1) == 0
return reply(look and 2 or 1, check and n + 1 or n, check and 1 or 0)
