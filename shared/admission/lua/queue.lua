-- Slots and the queue. 'slots' is a sorted set of slot holders, or, without a slot
-- limit, of admitted jobs that have not started submitting; the score is since
-- when. 'line' is the queue, a sorted set with scores of 0 of "tenant/order id", so
-- that the jobs of a tenant are adjacent and in order; 'ring' the tenant rotation, a
-- sorted set of tenants with queued jobs, the next one first; 'places' a hash from id
-- to position, for jobs in the queue and in 'later', which are delayed until their
-- score.
local slots, queue, rotation = base .. 'slots', base .. 'line', base .. 'ring'
local positions, later = base .. 'places', base .. 'later'

local function positions_of(tenant, most)
  return redis.call('ZRANGEBYLEX', queue, '[' .. tenant .. '/', '(' .. tenant .. '0', 'LIMIT', 0, most)
end

local function rotate(tenant) redis.call('ZADD', rotation, redis.call('INCR', base .. 'turn'), tenant) end

-- enqueue adds a job to the queue.
local function enqueue(id, position)
  local tenant = string.match(position, '^([^/]*)/')
  redis.call('HSET', positions, id, position)
  redis.call('ZADD', queue, 0, position)
  if not redis.call('ZSCORE', rotation, tenant) then rotate(tenant) end
end

-- postpone keeps a job's position until the job is eligible again.
local function postpone(id, position, till)
  redis.call('HSET', positions, id, position)
  redis.call('ZADD', later, ms(till), id)
end

-- dequeue removes a job from the queue.
local function dequeue(id)
  local position = redis.call('HGET', positions, id)
  if not position then return end
  local tenant = string.match(position, '^([^/]*)/')
  redis.call('HDEL', positions, id)
  redis.call('ZREM', later, id)
  redis.call('ZREM', queue, position)
  if #positions_of(tenant, 1) == 0 then redis.call('ZREM', rotation, tenant) end
end

-- slot_free reports whether a slot is free.
local function slot_free()
  return redis.call('ZCARD', slots) < (slots_max > 0 and slots_max or admissions_max)
end

-- hold_slot holds a slot for a job that may have a sweep at the API.
local function hold_slot(id)
  if slots_max > 0 then redis.call('ZADD', slots, 'NX', ms(now), id) end
end

-- release_slot frees a slot and wakes the supervisors to admit the next job.
local function release_slot(id)
  if redis.call('ZREM', slots, id) == 1 and redis.call('ZCARD', rotation) > 0 then
    redis.call('PUBLISH', wakes, 'admit')
  end
end
