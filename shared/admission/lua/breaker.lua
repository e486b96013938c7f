-- Two breakers, since unlike calls tell of unlike things: 'gate' for
-- submissions, 'reads' for all calls about sweeps that exist. Each is a hash:
-- until (shut till then), fails (failures in a row), probing (who tries it out),
-- floor (the API asked for silence till then, which no success ends).
local gate, reads = base .. 'gate', base .. 'reads'

-- closed returns until when a breaker is shut, nil for open; how many failures it
-- has seen; until when the API wants silence; who probes.
local function closed(key)
  local b = redis.call('HMGET', key, 'until', 'fails', 'floor', 'probing')
  local soft = tonumber(b[1] or '0')
  if soft > now + math.max(gate_max, probe) then -- the clock of Redis was set back
    soft = now + gate_max
    redis.call('HSET', key, 'until', ms(soft))
  end
  local floor = tonumber(b[3] or '0')
  local shut = math.max(soft, floor)
  if shut <= now then shut = nil end
  return shut, b[2], floor, b[4]
end

-- try_out lets one call through a breaker that has failures and keeps the others
-- waiting for it.
local function try_out(key, who)
  redis.call('HSET', key, 'until', ms(now + probe), 'probing', who)
end

-- well notes a success. It costs a read where all is well already.
local function well(key)
  local b = redis.call('HMGET', key, 'fails', 'floor')
  if b[2] and tonumber(b[2]) <= now then redis.call('HDEL', key, 'floor') end
  if b[1] then
    redis.call('HDEL', key, 'until', 'fails', 'probing')
    redis.call('PUBLISH', wakes, 'admit')
  end
end

-- ill notes a failure: the breaker shuts, for longer each time. Failures while it
-- is shut are news of the same trouble and do not count, but for the probe's.
-- retry is for how many ms the API asks for silence.
local function ill(key, retry)
  local b = redis.call('HMGET', key, 'until', 'fails', 'floor', 'probing')
  local fails = tonumber(b[2] or '0')
  if b[4] or tonumber(b[1] or '0') <= now then
    fails = math.min(fails + 1, 30)
    redis.call('HSET', key, 'until', ms(now + math.min(gate_min * 2 ^ (fails - 1), gate_max)))
  end
  redis.call('HSET', key, 'fails', ms(math.max(fails, 1)))
  redis.call('HDEL', key, 'probing')
  if retry > 0 then
    redis.call('HSET', key, 'floor', ms(math.max(tonumber(b[3] or '0'), now + retry)))
  end
end
