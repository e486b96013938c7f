-- The sets of waits; scores are Unix ms. A wait that has begun and not ended is in
-- exactly one of the first three, an ended one while it has pending actions.
-- due: work that needs no API call: an expired attempt lease, admission timeout or
-- queue timeout; events to be sent.
-- calls: work that needs an API call: polls, lookups before a submission, cancels.
-- last: the poll at the deadline.
-- extras: duplicate sweeps to be cancelled: 16 bytes of id, 13 digits of since when,
-- the API's id.
local due, calls, last, extras = base .. 'due', base .. 'calls', base .. 'last', base .. 'extras'
local changes = base .. 'changes'

local function await(set, id, at) redis.call('ZADD', set, ms(at), id) end

-- answer is what most scripts return: an outcome, the time, and the record.
local function answer(outcome, id) return {outcome, ms(now), redis.call('HGETALL', base .. id)} end

-- await_poll has a sweep polled at a time, or at its deadline where that is sooner.
local function await_poll(id, at, deadline)
  if at < deadline then
    redis.call('ZREM', last, id)
    await(calls, id, at)
  else
    redis.call('ZREM', calls, id)
    await(last, id, deadline)
  end
end

-- enlist adds a sweep to a list, each behind a byte with its length; listed says
-- where a list holds one, from and to.
local function enlist(list, sweep) return (list or '') .. string.char(#sweep) .. sweep end
local function listed(list, sweep)
  local i = 1
  while list and i <= #list do
    local last_byte = i + string.byte(list, i)
    if string.sub(list, i + 1, last_byte) == sweep then return i, last_byte end
    i = last_byte + 1
  end
end

-- add_duplicate schedules the cancellation of a duplicate sweep. Until it is
-- cancelled it holds a slot: it is at the API. The record keeps its id (field D), so
-- that its end is not taken for the job's.
local function add_duplicate(id, sweep)
  local known = redis.call('HGET', base .. id, 'D')
  if listed(known, sweep) then return end
  redis.call('HSET', base .. id, 'D', enlist(known, sweep))
  local extra = id .. ms(now) .. sweep
  await(extras, extra, now)
  hold_slot(extra)
  redis.call('PUBLISH', wakes, 'admit')
end

-- report records the outcome of a call: '' for none, 'ok', or Retry-After in ms.
local function report(key, how)
  if how == 'ok' then succeeded(key) elseif how ~= '' then failed(key, tonumber(how)) end
end
