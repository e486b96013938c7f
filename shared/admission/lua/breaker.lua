-- Two circuit breakers, one per kind of call: key 'gate' for submissions, key
-- 'reads' for all calls about existing sweeps. Each is a hash: until (open until
-- then), fails (consecutive failures), probing (who runs the probe), floor (the
-- API's Retry-After, which no success shortens).
local submit_breaker, read_breaker = base .. 'gate', base .. 'reads'

-- open_until returns until when a breaker is open, nil if it is closed; its number
-- of failures; the end of Retry-After; who runs the probe.
local function open_until(key)
  local b = redis.call('HMGET', key, 'until', 'fails', 'floor', 'probing')
  local soft = tonumber(b[1] or '0')
  if soft > now + math.max(backoff_max, probe) then -- the clock of Redis was set back
    soft = now + backoff_max
    redis.call('HSET', key, 'until', ms(soft))
  end
  local floor = tonumber(b[3] or '0')
  local open = math.max(soft, floor)
  if open <= now then open = nil end
  return open, b[2], floor, b[4]
end

-- probe_with lets one call through a half-open breaker as its probe; all others
-- wait for the result.
local function probe_with(key, who)
  redis.call('HSET', key, 'until', ms(now + probe), 'probing', who)
end

-- succeeded records a success. With no failures recorded it costs one read.
local function succeeded(key)
  local b = redis.call('HMGET', key, 'fails', 'floor')
  if b[2] and tonumber(b[2]) <= now then redis.call('HDEL', key, 'floor') end
  if b[1] then
    redis.call('HDEL', key, 'until', 'fails', 'probing')
    redis.call('PUBLISH', wakes, 'admit')
  end
end

-- failed records a failure: the breaker opens, with exponential backoff. Failures
-- while it is open do not count again, except the probe's. retry is the API's
-- Retry-After in ms.
local function failed(key, retry)
  local b = redis.call('HMGET', key, 'until', 'fails', 'floor', 'probing')
  local fails = tonumber(b[2] or '0')
  if b[4] or tonumber(b[1] or '0') <= now then
    fails = math.min(fails + 1, 30)
    redis.call('HSET', key, 'until', ms(now + math.min(backoff_min * 2 ^ (fails - 1), backoff_max)))
  end
  redis.call('HSET', key, 'fails', ms(math.max(fails, 1)))
  redis.call('HDEL', key, 'probing')
  if retry > 0 then
    redis.call('HSET', key, 'floor', ms(math.max(tonumber(b[3] or '0'), now + retry)))
  end
end
