-- Takes over what dead consumers have pending, and removes those that have
-- nothing. A consumer is dead once its heartbeat has run out; where the heartbeat of
-- the one that asks has run out as well, Redis was away, and nobody is taken for dead.
-- KEYS[1] meta
-- ARGV[1] consumer that takes over
-- then name of a Trigger and how many of its entries to take, for each
-- Returns {entries, names of the Triggers that may have more}
local me = ARGV[1]
local entries, more, size = {}, {}, 0
if redis.call('EXISTS', P .. 'alive:' .. me) == 0 then return {entries, more} end
for i = 2, #ARGV, 2 do
  local name, room = ARGV[i], tonumber(ARGV[i + 1])
  local q = P .. 'q:' .. name
  local consumers = redis.pcall('XINFO', 'CONSUMERS', q, 'd')
  for _, info in ipairs(consumers.err and {} or consumers) do
    local c = {}
    for k = 1, #info, 2 do c[info[k]] = info[k + 1] end
    local who = c['name']
    if who ~= me and redis.call('EXISTS', P .. 'alive:' .. who) == 0 then
      local ids = room > 0 and size < MOST and pending(name, who, '-', '+', math.min(room, 32)) or {}
      for _, id in ipairs(ids) do
        redis.call('XCLAIM', q, 'd', me, 0, id, 'JUSTID')
        local found = redis.call('XRANGE', q, id, id)
        if found[1] then
          entries[#entries + 1] = entry(name, id, found[1][2], redis.call('HGET', P .. 'retry:' .. name, id) or '')
          size = size + #entries[#entries][6]
        else
          redis.call('XACK', q, 'd', id)
          entries[#entries + 1] = {name, id, id, '', '', '', 'deleted'}
        end
      end
      room = room - #ids
      if #pending(name, who, '-', '+', 1) == 0 then
        redis.call('XGROUP', 'DELCONSUMER', q, 'd', who)
      else
        more[#more + 1] = name
      end
    end
  end
end
return {entries, more}
