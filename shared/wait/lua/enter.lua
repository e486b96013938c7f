-- Registers a job's wait and takes the right to call the API, if the job has its
-- turn or need not wait for one; else puts it in line. Nobody overtakes: while
-- somebody stands in line, newcomers do too. From the first attempt on the API may
-- know the sweep (field k). A record that is missing was lost with its Redis: it
-- is made anew and marked so. So is one that was there before this Redis was
-- started: the attempt that submitted the sweep may have got lost with the one
-- before. Any number of calls at any moment puts at most one
-- attempt in charge.
-- ARGV[3] id  ARGV[4] header  ARGV[5] trace  ARGV[6] place in line, "tenant/order id"
-- ARGV[7] QUEUE_TIMEOUT, ms  ARGV[8] SUBMIT_LEASE, ms  ARGV[9] 1 if one more call
-- is wished for, to ask for the API's health  ARGV[10] time to live of an accepted
-- record, ms
-- Returns {1 in charge | 2 in charge, look for the sweep first | 3 in line | 4
-- another is in charge | 5 submitted | 6 ended, now, record, calls dealt, 1 if one is
-- for the health check}
local id, place = ARGV[3], ARGV[6]
local record = base .. id
local r = redis.call('HMGET', record, 's', 'y', 'k', 'c', 'l')
local s, look = r[1], r[3]
if s == 'c' or s == 'f' then return answer(6, id) end
if s == 'w' then return answer(5, id) end

-- doubted: the record was written before Redis was restarted, at the latest.
local doubted = false
if (s == 'a' or s == 'p') and not look then
  local at = s == 'p' and tonumber(r[5] or '0') - tonumber(ARGV[7])
    or now - tonumber(ARGV[10]) + redis.call('PTTL', record)
  doubted = at < restarted()
  if doubted then
    look = '1'
    redis.call('HSET', record, 'k', '1')
  end
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

local n = calls_of(look)
if s == 's' then
  -- An attempt whose lease has run out is taken over if there are calls at once;
  -- else the supervisor has it dealt a turn.
  if tonumber(r[2] or '0') > now or try(n) > 0 then return answer(4, id) end
elseif r[4] then
  -- The API may have asked for silence since the turn was dealt, and a look was not
  -- among the calls that were dealt with it.
  local shut, _, _, probing = closed(gate)
  if doubted or (shut and probing ~= id) then
    redis.call('HDEL', record, 'c')
    if probing == id then redis.call('HDEL', gate, 'until', 'probing') end -- somebody else tries it out
    if look and slots_max > 0 then
      redis.call('ZREM', due, id)
      await(calls, id, now) -- it keeps its slot, for its sweep may be at the API
    else
      redis.call('ZREM', slots, id)
      await(due, id, till)
      stand(id, place)
    end
    redis.call('PUBLISH', wakes, 'admit')
    return answer(3, id)
  end
  -- The calls that were dealt with the turn may have got old on the way. Where there
  -- are no others now, the attempt waits for its calls.
  if now - tonumber(r[4]) > fresh and try(n) > 0 then n = 0 end
elseif not fresh_one then
  return answer(3, id)
else
  local shut, fails = closed(gate)
  local first = redis.call('ZCARD', ring) == 0
  local free = not shut and room()
  if not (free and first and take('line', n) == 0) then
    stand(id, place)
    await(due, id, till)
    if free and first then redis.call('PUBLISH', wakes, 'admit') end
    return answer(3, id)
  end
  hold(id)
  if fails then try_out(gate, id) end
end

local until_ = now + tonumber(ARGV[8])
redis.call('HSET', record, 's', 's', 'y', ms(until_), 'k', '1')
redis.call('HINCRBY', record, 'a', 1)
redis.call('ZREM', calls, id)
await(due, id, until_)
if r[4] then
  redis.call('HDEL', record, 'c')
  if slots_max == 0 then release(id) end
end
local check = ARGV[9] == '1' and try(1) == 0
local out = answer(look and 2 or 1, id)
out[4], out[5] = check and n + 1 or n, check and 1 or 0
return out
