-- Makes a set of Triggers the routes of a partition. Triggers that are not in it
-- are marked as removed; their queues stay and fill until purge.
-- KEYS[1] meta
-- ARGV[1] version of the layout
-- ARGV[2] version of the set, 0 if it has none
-- ARGV[3] 1 to keep all Triggers that are not in the set
-- ARGV[4] number of Triggers to keep as they are, then their names
-- then name and record of each Trigger
-- Returns {generation, "1" if anything has changed, names of new Triggers...};
-- {generation, "old"} where a later set is in force.
-- Error LAYOUT where the partition was written by another version.
local layout = redis.call('HGET', KEYS[1], 'layout')
if (layout and layout ~= ARGV[1]) or (not layout and redis.call('EXISTS', P .. 'stream') == 1) then
  return redis.error_reply('LAYOUT ' .. (layout or '1'))
end
local version = tonumber(ARGV[2])
if version > 0 and version < tonumber(redis.call('HGET', KEYS[1], 'version') or '0') then return {gen, 'old'} end
local wanted, created, altered = {}, {}, gen == ''
local at = 5 + tonumber(ARGV[4])
for i = 5, at - 1 do wanted[ARGV[i]] = true end
for i = at, #ARGV, 2 do
  local name, record = ARGV[i], ARGV[i + 1]
  wanted[name] = true
  local had = redis.call('HGET', P .. 'routes', name)
  if had ~= record then
    redis.call('HSET', P .. 'routes', name, record)
    altered = true
  end
  if not had then
    created[#created + 1] = name
    redis.call('SREM', P .. 'purging', name)
    if redis.call('EXISTS', P .. 'q:' .. name) == 0 then redis.call('XGROUP', 'CREATE', P .. 'q:' .. name, 'd', '0', 'MKSTREAM') end
  end
  if redis.call('ZREM', P .. 'removed', name) == 1 then altered = true end
end
for _, name in ipairs(redis.call('HKEYS', P .. 'routes')) do
  if ARGV[3] ~= '1' and not wanted[name] and not redis.call('ZSCORE', P .. 'removed', name) then
    redis.call('ZADD', P .. 'removed', now, name)
    altered = true
  end
end
redis.call('HSET', KEYS[1], 'layout', ARGV[1], 'version', string.format('%.0f', version))
if altered then
  gen = newid()
  redis.call('HSET', KEYS[1], 'gen', gen)
  save()
end
-- Not by unpack, which has no room for thousands.
local out = {gen, altered and '1' or ''}
for _, name in ipairs(created) do out[#out + 1] = name end
return out
