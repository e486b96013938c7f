-- Turns are dealt to those in line: one tenant after the other, and within a
-- tenant first come, first served, each with a slot and the calls that it takes.
-- While the API is given time to recover nobody gets a turn; then one, as a probe.
-- A turn is dealt to nobody who has one that was not taken up.
local dealt = {} -- id, record, id, record, ...
local turns_left, turn_timeout, again
local gate_shut, gate_fails

local function come(at)
  if at and (not again or at < again) then again = at end
end

local function begin_turns(most, timeout)
  turns_left, turn_timeout = most, timeout
  local _, probing
  gate_shut, gate_fails, _, probing = closed(gate)
  if gate_fails and not gate_shut and probing then
    -- The one that tries the API out may not have been heard of yet.
    local r = redis.call('HMGET', base .. probing, 's', 'c')
    if r[1] == 's' or (r[1] == 'p' and r[2]) then gate_shut = now + probe end
  end
end

local function deal_turn(id)
  local record = base .. id
  local till = tonumber(redis.call('HGET', record, 'l') or '0')
  redis.call('HINCRBY', record, 'n', 1)
  redis.call('HSET', record, 'c', ms(now))
  redis.call('ZADD', slots, 'NX', ms(now), id)
  redis.call('ZREM', calls, id)
  await(due, id, math.min(now + turn_timeout, till))
  dealt[#dealt + 1] = id
  dealt[#dealt + 1] = redis.call('HGETALL', record)
  turns_left = turns_left - 1
  if gate_fails then
    try_out(gate, id)
    gate_shut = now + probe
  end
end

-- from_line deals a turn and returns true, or returns false where it has none to
-- deal now.
local function from_line()
  if turns_left == 0 or gate_shut or not room() then
    withdraw('line')
    if gate_shut and redis.call('ZCARD', ring) > 0 then come(gate_shut) end
    return false
  end
  local tenant, found
  repeat
    tenant = redis.call('ZRANGE', ring, 0, 0)[1]
    found = tenant and places_of(tenant, 2)
    if tenant and #found == 0 then redis.call('ZREM', ring, tenant) end
  until not tenant or #found > 0
  if not tenant then
    withdraw('line')
    return false
  end
  local id = string.sub(found[1], -16)
  local r = redis.call('HMGET', base .. id, 's', 'k')
  local parked = r[1] == 'p'
  if parked then
    local wait = take('line', calls_of(r[2]))
    if wait > 0 then
      come(now + wait)
      return false
    end
  end
  redis.call('ZREM', line, found[1])
  redis.call('HDEL', places, id)
  if found[2] then to_back(tenant) else redis.call('ZREM', ring, tenant) end
  if parked then deal_turn(id) end
  return true
end
