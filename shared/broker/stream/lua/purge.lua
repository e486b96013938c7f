-- Removes what is kept of a Trigger that has been gone for long enough, except its
-- dead letters. A call looks at a bounded number of entries.
-- KEYS[1] meta
-- ARGV[1] name  ARGV[2] how long it must be gone, ms  ARGV[3] entries to look at
-- Returns 1 when all is removed, 0 where there is more, -1 where it is not gone
-- (any more).
local name = ARGV[1]
local since = redis.call('ZSCORE', P .. 'removed', name)
if since then
  if tonumber(since) > now - tonumber(ARGV[2]) then return -1 end
  redis.call('HDEL', P .. 'routes', name)
  redis.call('ZREM', P .. 'removed', name)
  redis.call('SREM', P .. 'paused', name) -- or a new one of its name would wait for nobody knows what
  redis.call('SADD', P .. 'purging', name)
  redis.call('HSET', KEYS[1], 'gen', newid())
  save()
elseif redis.call('SISMEMBER', P .. 'purging', name) == 0 then
  return -1
end
local q = P .. 'q:' .. name
local entries = redis.call('XRANGE', q, '-', '+', 'COUNT', ARGV[3])
for _, e in ipairs(entries) do
  redis.call('XDEL', q, e[1])
  local x = entry(name, e[1], e[2], '', true)
  if x[5] == '1' then release(x[3]) end
  if x[4] ~= '' then
    local list = P .. 'wait:' .. name .. ':' .. x[4]
    for _, v in ipairs(redis.call('LRANGE', list, 0, -1)) do
      local space = string.find(v, ' ', 1, true)
      if string.sub(v, space + 1, space + 1) == 'b' then release(string.sub(v, 1, space - 1)) end
      redis.call('HINCRBY', P .. 'waiting', name, -1)
    end
    redis.call('DEL', list)
    -- Page by page, as the Trigger may come back between two.
    redis.call('HDEL', P .. 'order:' .. name, x[4])
  end
end
if #entries == tonumber(ARGV[3]) then return 0 end
redis.call('DEL', q, P .. 'due:' .. name, P .. 'retry:' .. name, P .. 'order:' .. name, P .. 'fill:' .. name)
redis.call('HDEL', P .. 'waiting', name)
redis.call('SREM', P .. 'purging', name)
if redis.call('EXISTS', P .. 'buried:' .. name) == 1 then redis.call('SADD', P .. 'former', name) end
return 1
