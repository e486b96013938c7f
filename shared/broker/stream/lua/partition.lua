-- What the scripts of a partition share; it stands before each of them.
-- KEYS[1] is the partition's meta hash. All other keys begin with what stands
-- before "meta" there, so they are in the same slot of a Redis Cluster.
-- Time is Redis's: no process's clock decides anything here.
local P = string.sub(KEYS[1], 1, -5)
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local meta = redis.call('HMGET', KEYS[1], 'gen', 'last', 'bytes')
local gen = meta[1] or ''
local lastMs, lastSeq = string.match(meta[2] or '0-0', '^(%d+)-(%d+)$')
lastMs, lastSeq = tonumber(lastMs), tonumber(lastSeq)
local bytes = tonumber(meta[3] or '0')
local changed = false

-- An id for an entry, above all earlier ones of the partition, also where the
-- clock was set back. One event has one id in every stream.
local function newid()
  if now > lastMs then lastMs, lastSeq = now, 0 else lastSeq = lastSeq + 1 end
  changed = true
  return string.format('%.0f-%.0f', lastMs, lastSeq)
end

-- Writes back what newid and the counting of history have changed.
local function save()
  if changed then
    redis.call('HSET', KEYS[1], 'last', string.format('%.0f-%.0f', lastMs, lastSeq), 'bytes', string.format('%.0f', bytes))
  end
end

-- Releases one reference to a body that is kept once for several streams.
local function release(origin)
  if redis.call('HINCRBY', P .. 'refs', origin, -1) <= 0 then
    redis.call('HDEL', P .. 'refs', origin)
    redis.call('DEL', P .. 'body:' .. origin)
  end
end

-- Set once an entry could not have its event's id.
local displaced = false

local function push(name, id, origin, key, field, value)
  local a = {P .. 'q:' .. name, id, field, value}
  if key ~= '' then a[#a + 1] = 'k'; a[#a + 1] = key end
  if origin ~= id then a[#a + 1] = 'o'; a[#a + 1] = origin end
  local ok = redis.pcall('XADD', unpack(a))
  if type(ok) ~= 'table' or not ok.err then return end
  -- Somebody else has written to the queue, under an id that is higher.
  if not string.find(ok.err, 'equal or smaller', 1, true) then error(ok.err) end
  if origin == id then a[#a + 1] = 'o'; a[#a + 1] = origin end
  a[2], displaced = '*', true
  redis.call('XADD', unpack(a))
end

-- Puts an event into a Trigger's queue; under an order key only the first goes
-- there, the others wait in a list of their own until promote.
local function enqueue(name, id, origin, key, field, value)
  if key == '' or redis.call('HINCRBY', P .. 'order:' .. name, key, 1) == 1 then
    return push(name, id, origin, key, field, value)
  end
  redis.call('RPUSH', P .. 'wait:' .. name .. ':' .. key, origin .. ' ' .. field .. value)
  redis.call('HINCRBY', P .. 'waiting', name, 1)
end

-- Lets the next event of an order key into the queue.
local function promote(name, key)
  local left = redis.call('HINCRBY', P .. 'order:' .. name, key, -1)
  local v = left > 0 and redis.call('LPOP', P .. 'wait:' .. name .. ':' .. key)
  if not v then
    redis.call('HDEL', P .. 'order:' .. name, key)
    return
  end
  if redis.call('HINCRBY', P .. 'waiting', name, -1) <= 0 then redis.call('HDEL', P .. 'waiting', name) end
  local space = string.find(v, ' ', 1, true)
  push(name, newid(), string.sub(v, 1, space - 1), key, string.sub(v, space + 1, space + 1), string.sub(v, space + 2))
end

-- An entry as the scripts return it: {trigger, id, origin, order key, "1" if its
-- body is kept apart, event or "" where the caller has it, retry state}.
local function entry(name, id, fields, state, known)
  local e, ref, key, origin = nil, '', '', id
  for i = 1, #fields, 2 do
    local f, v = fields[i], fields[i + 1]
    if f == 'e' then e = v elseif f == 'b' then ref = '1' elseif f == 'k' then key = v elseif f == 'o' then origin = v end
  end
  if known then e = '' elseif ref == '1' then e = redis.call('GET', P .. 'body:' .. origin) end
  return {name, id, origin, key, ref, e or '', state or ''}
end

-- The ids of a consumer's pending entries from one id to another, at most count. A
-- queue that was purged meanwhile, or that Redis has lost, has none.
local function pending(name, consumer, from, to, count)
  local ids, found = {}, redis.pcall('XPENDING', P .. 'q:' .. name, 'd', from, to, count, consumer)
  if found.err then
    if string.sub(found.err, 1, 7) == 'NOGROUP' then return ids end
    error(found.err)
  end
  for _, p in ipairs(found) do ids[#ids + 1] = p[1] end
  return ids
end

local function owns(name, id, consumer)
  return #pending(name, consumer, id, id, 1) > 0
end

-- The bytes of an entry's event.
local function weight(id, fields)
  local origin = id
  for i = 1, #fields, 2 do
    if fields[i] == 'e' then return #fields[i + 1] end
    if fields[i] == 'o' then origin = fields[i + 1] end
  end
  return redis.call('STRLEN', P .. 'body:' .. origin)
end

-- How many bytes of events one script hands out at most, and a few entries more.
local MOST = 4 * 1024 * 1024

-- Reads up to count new entries of a Trigger's queue for a consumer, fewer where they
-- are large. A group that has gone is made again from the beginning: a queue holds
-- only what is not finished. Returns the entries and whether there may be more.
local function claim(name, consumer, count)
  local q, out, size = P .. 'q:' .. name, {}, 0
  while count > 0 do
    local n = math.min(count, 32)
    local got = redis.pcall('XREADGROUP', 'GROUP', 'd', consumer, 'COUNT', n, 'STREAMS', q, '>')
    if type(got) == 'table' and got.err then
      if string.sub(got.err, 1, 7) ~= 'NOGROUP' then return got end
      if redis.call('HEXISTS', P .. 'routes', name) == 0 then return out, false end
      redis.call('XGROUP', 'CREATE', q, 'd', '0', 'MKSTREAM')
      got = redis.call('XREADGROUP', 'GROUP', 'd', consumer, 'COUNT', n, 'STREAMS', q, '>')
    end
    local read = got and got[1][2] or {}
    for _, e in ipairs(read) do
      out[#out + 1] = e
      size = size + weight(e[1], e[2] or {})
    end
    if #read < n then return out, false end
    if size >= MOST then return out, true end
    count = count - n
  end
  return out, true
end
