-- Slots and the line. 'slots' is a sorted set of who has a slot, or, where there
-- are as many as one likes, of who has been given a turn and not taken it up;
-- the score is since when. 'line' is a sorted set, all scores 0, of
-- "tenant/order id", so that a tenant's stand together in order; 'ring' one of
-- the tenants in line, by whose turn it is; 'places' a hash from id to place, of
-- those in line and in 'later', who stay away till their score.
local slots, line, ring = base .. 'slots', base .. 'line', base .. 'ring'
local places, later = base .. 'places', base .. 'later'

local function places_of(tenant, most)
  return redis.call('ZRANGEBYLEX', line, '[' .. tenant .. '/', '(' .. tenant .. '0', 'LIMIT', 0, most)
end

local function to_back(tenant) redis.call('ZADD', ring, redis.call('INCR', base .. 'turn'), tenant) end

-- stand puts a job in line.
local function stand(id, place)
  local tenant = string.match(place, '^([^/]*)/')
  redis.call('HSET', places, id, place)
  redis.call('ZADD', line, 0, place)
  if not redis.call('ZSCORE', ring, tenant) then to_back(tenant) end
end

-- stay keeps a job's place until it may stand in line again.
local function stay(id, place, till)
  redis.call('HSET', places, id, place)
  redis.call('ZADD', later, ms(till), id)
end

-- leave takes a job out of the line.
local function leave(id)
  local place = redis.call('HGET', places, id)
  if not place then return end
  local tenant = string.match(place, '^([^/]*)/')
  redis.call('HDEL', places, id)
  redis.call('ZREM', later, id)
  redis.call('ZREM', line, place)
  if #places_of(tenant, 1) == 0 then redis.call('ZREM', ring, tenant) end
end

-- room says whether one more may have a slot.
local function room()
  return redis.call('ZCARD', slots) < (slots_max > 0 and slots_max or turns_max)
end

-- hold keeps a slot for a job that may have a sweep at the API.
local function hold(id)
  if slots_max > 0 then redis.call('ZADD', slots, 'NX', ms(now), id) end
end

-- release gives a slot back; the supervisors are told to deal it out.
local function release(id)
  if redis.call('ZREM', slots, id) == 1 and redis.call('ZCARD', ring) > 0 then
    redis.call('PUBLISH', wakes, 'admit')
  end
end
