-- The budget of calls, as a schedule (GCRA): 'at' is until when calls are spoken
-- for, each for 'every' ms, and it may run ahead of now by 'burst' calls. That
-- the schedule is missing says nothing about the last minute's calls, so no calls
-- are left then.
--
-- Parties that found no call are in 'asks', in the order in which they were last
-- served. A party may take a call if those ahead of it find one each as
-- well. A party that does not return within 'grace' of the time its call became
-- available has died or given up, and is dropped.
local budget, asks = base .. 'budget', base .. 'asks'

local function book(at, n)
  at = at + n * every
  redis.call('HSET', budget, 'at', string.format('%.3f', at))
  return at
end

local function booked()
  local at = tonumber(redis.call('HGET', budget, 'at') or '')
  -- Nothing is booked further ahead, unless the clock of Redis was set back.
  if not at or at > now + burst * every then return book(now, burst) end
  return math.max(at, now)
end

-- withdraw removes a party from the waiting ones.
local function withdraw(party)
  if every > 0 then redis.call('ZREM', asks, party) end
end

-- ahead_of counts the parties before a rank, nil for behind all, and drops those
-- whose call has been there for too long; first is when the first call is there.
local function ahead_of(rank, first)
  local ahead, gone = rank or redis.call('ZCARD', asks), 0
  while ahead > 0 and now > first + gone * every + grace do
    redis.call('ZPOPMIN', asks)
    ahead, gone = ahead - 1, gone + 1
  end
  return ahead
end

-- take grants a party n calls and returns 0, or returns in how many ms to retry and
-- records the party as waiting. n must not be above burst - reserve.
local function take(party, n)
  if every == 0 then return 0 end
  local at = booked()
  local first = at + every - (burst - reserve) * every
  local rank = redis.call('ZRANK', asks, party)
  local due = first + (ahead_of(rank, first) + n - 1) * every
  if due <= now then
    book(at, n)
    if rank then redis.call('ZREM', asks, party) end
    return 0
  end
  if not rank then redis.call('ZADD', asks, redis.call('HINCRBY', budget, 'seq', 1), party) end
  return math.ceil(due - now)
end

-- try takes n calls if no party waits for them, and records nothing. It returns 0,
-- or in how many ms to retry.
local function try(n)
  if every == 0 then return 0 end
  local at = booked()
  local first = at + every - (burst - reserve) * every
  local due = first + (ahead_of(nil, first) + n - 1) * every
  if due > now then return math.ceil(due - now) end
  book(at, n)
  return 0
end

-- take_last is take for a call that cannot wait: it draws on the reserve as
-- well. The reserve fills at half the rate, so that many deadlines at once leave
-- the other half to the others.
local function take_last(party)
  local wait = take(party, 1)
  if wait == 0 or reserve == 0 then return wait end
  local at, step = booked(), 2 * every
  local drawn = tonumber(redis.call('HGET', budget, 'drawn') or '0')
  drawn = math.min(math.max(drawn, now), now + reserve * step)
  local due = math.max(at + every - burst * every, drawn + step - reserve * step)
  if due > now then return math.min(wait, math.ceil(due - now)) end
  book(at, 1)
  redis.call('HSET', budget, 'drawn', string.format('%.3f', drawn + step))
  redis.call('ZREM', asks, party)
  return 0
end

-- calls_for is how many calls are granted with an admission: one to submit, and one
-- to look the sweep up first if it may already be at the API.
local function calls_for(look)
  if look and (every == 0 or burst - reserve >= 2) then return 2 end
  return 1
end
