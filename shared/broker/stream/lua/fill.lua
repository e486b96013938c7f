-- Copies a page of history into a Trigger's queue, for a replay or a Trigger that
-- starts in the past. What the queue still holds is left out.
-- KEYS[1] meta
-- ARGV[1] name  ARGV[2] position that the page begins after  ARGV[3] position after
-- this page, "" at the end
-- ARGV[4] order "1" if the Trigger is ordered
-- then history id and order key of each event that passes the filter
-- Returns the number copied, or -1 where another process has copied the page.
local name = ARGV[1]
if redis.call('HGET', P .. 'fill:' .. name, 'after') ~= ARGV[2] then return -1 end
-- The events that the queue holds under ids of their own, since they came out of the
-- list of an order key or were sent again; and those in the lists. The first are looked
-- for among a bounded number of entries.
local held, lists = {}, {}
local first = '-'
for _ = 1, 10 do
  local page = redis.call('XRANGE', P .. 'q:' .. name, first, '+', 'COUNT', 1000)
  for _, e in ipairs(page) do
    for f = 1, #e[2], 2 do
      if e[2][f] == 'o' then held[e[2][f + 1]] = true end
    end
    first = '(' .. e[1]
  end
  if #page < 1000 then break end
end
local function listed(key, origin)
  if key == '' then return false end
  if not lists[key] then
    lists[key] = {}
    for _, v in ipairs(redis.call('LRANGE', P .. 'wait:' .. name .. ':' .. key, 0, -1)) do
      lists[key][string.sub(v, 1, string.find(v, ' ', 1, true) - 1)] = true
    end
  end
  return lists[key][origin]
end

local n = 0
for i = 5, #ARGV, 2 do
  local origin, key = ARGV[i], ARGV[i + 1]
  local found = redis.call('XRANGE', P .. 'history', origin, origin)
  local queued = held[origin] or listed(ARGV[4] == '1' and key or '', origin) or #redis.call('XRANGE', P .. 'q:' .. name, origin, origin) > 0
  if found[1] and not queued then
    local field, value = found[1][2][1], found[1][2][2]
    if field == 'b' then redis.call('HINCRBY', P .. 'refs', origin, 1) end
    enqueue(name, newid(), origin, ARGV[4] == '1' and key or '', field, value)
    n = n + 1
  end
end
if ARGV[3] == '' then
  redis.call('DEL', P .. 'fill:' .. name)
else
  redis.call('HSET', P .. 'fill:' .. name, 'after', ARGV[3])
end
save()
return n
