-- Commits one group of writes, all in one step: events are stored, deliveries are
-- settled, and new entries are claimed for this process.
-- KEYS[1] meta
-- ARGV[1] generation of the routes that the events were routed by; "*" without
--         events
-- ARGV[2] consumer of this process
-- ARGV[3] deduplication window, ms
-- ARGV[4] entries of one queue at which published events are refused
-- ARGV[5] bytes from which the body of an event is kept once
-- ARGV[6] number of Triggers, then for each a flag and its name: "-" plain, "o"
--         ordered, "x" removed (its queue has no cap), "y" both
-- then operations, published events first; routes is a list of numbers of
-- Triggers, each with a comma behind it, id is an entry's:
--   B count                                      take the next P's as one: all or none is stored
--   P digest typedigest orderkey routes event    store a published event
--   R digest typedigest orderkey routes event    store a reply: never refused for room
--   A trigger id origin key ref state            acknowledge; state "1" where it has a retry state
--   L trigger id delay state                     retry later: delay in ms, retry state
--   D trigger id origin key ref record           dead letter, with its record
--   G trigger id                                 give back, to be delivered at once
--   C trigger count                              claim up to count new entries
-- Returns {generation} alone where the routes have changed: nothing is done then.
-- Else {generation, results, entries}: for P and R the entry id, "=" and the first
-- one's id for a repeat, "FULL" or "OOM" where the event was not stored; for A, L,
-- D, G "1" or, where another process has the delivery, "0"; for C "1" where the queue
-- may have more, else "". The event of
-- an entry that this call has stored is left out, as the caller has it.
local consumer, window, cap = ARGV[2], ARGV[3], tonumber(ARGV[4])
local refBytes = tonumber(ARGV[5])
if ARGV[1] ~= '*' and ARGV[1] ~= gen then return {gen} end
local names, ordered, capped = {}, {}, {}
local count = tonumber(ARGV[6])
for i = 1, count do
  local v = ARGV[6 + i]
  local flag = string.sub(v, 1, 1)
  names[i] = string.sub(v, 2)
  ordered[i] = flag == 'o' or flag == 'y'
  capped[i] = flag == '-' or flag == 'o'
end

local out, entries, fresh, lengths = {}, {}, {}, {}
local oom, free = false, false

local function length(t)
  if not lengths[t] then
    lengths[t] = redis.call('XLEN', P .. 'q:' .. names[t])
    if ordered[t] then lengths[t] = lengths[t] + tonumber(redis.call('HGET', P .. 'waiting', names[t]) or '0') end
  end
  return lengths[t]
end

local function append(op, digest, typ, key, routes, event)
  local seen = P .. 'seen:' .. digest
  local first = redis.call('GET', seen)
  if first then
    local space = string.find(first, ' ', 1, true)
    if op == 'P' or string.sub(first, space + 1) == typ then return '=' .. string.sub(first, 1, space - 1) end
    -- A reply may keep the id and source of the event that it answers.
    seen = seen .. ':' .. typ
    first = redis.call('GET', seen)
    if first then return '=' .. string.sub(first, 1, string.find(first, ' ', 1, true) - 1) end
  end
  local to = {}
  for t in string.gmatch(routes, '(%d+),') do to[#to + 1] = tonumber(t) end
  if op == 'P' then
    if oom then return 'OOM' end
    for _, t in ipairs(to) do
      if capped[t] and length(t) >= cap then return 'FULL' end
    end
  end
  local id = newid()
  local field, value = 'e', event
  -- Redis refuses a script for want of memory at its first write only, which is
  -- one of these two.
  if #to > 0 and #event >= refBytes then
    local ok = redis.pcall('SET', P .. 'body:' .. id, event)
    if type(ok) == 'table' and ok.err then return ok end
    redis.call('HSET', P .. 'refs', id, #to + 1)
    field, value = 'b', ''
  end
  local ok = redis.pcall('XADD', P .. 'history', id, field, value)
  if type(ok) == 'table' and ok.err then return ok end
  bytes = bytes + #event
  for _, t in ipairs(to) do
    enqueue(names[t], id, id, ordered[t] and key or '', field, value)
    if lengths[t] then lengths[t] = lengths[t] + 1 end
  end
  -- After the event: should Redis stop between the two, it is stored twice rather
  -- than never.
  redis.call('SET', seen, id .. ' ' .. typ, 'PX', window)
  fresh[id] = not displaced
  return id
end

-- Reports whether one of n published events has to be refused for the cap of a
-- queue. Repeats among them count, too: that errs by a few.
local function full(at, n)
  local more = {}
  for i = at, at + 6 * (n - 1), 6 do
    for t in string.gmatch(ARGV[i + 4], '(%d+),') do
      t = tonumber(t)
      if capped[t] then
        more[t] = (more[t] or 0) + 1
        if length(t) + more[t] > cap then return true end
      end
    end
  end
  return false
end

-- Makes room for accepted work: after the first write nothing in a script is
-- refused for want of memory.
local function unbound()
  if not free then
    redis.call('DEL', P .. 'none')
    free = true
  end
end

local function remove(name, id, origin, ref, state)
  redis.call('XDEL', P .. 'q:' .. name, id)
  if state then redis.call('HDEL', P .. 'retry:' .. name, id) end
  if ref == '1' then release(origin) end
end

-- Acknowledgements of unordered queues are collected, since one call for many of a
-- queue costs little more than for one.
local acks = {}

local function acknowledge(t, first)
  local a = acks[t]
  if not a then
    a = {ids = {}, args = {}, outs = {}}
    acks[t] = a
  end
  local n = #a.ids + 1
  a.ids[n], a.args[n], a.outs[n] = ARGV[first + 2], first, #out + 1
end

-- Acknowledges the entries first to last of a queue's; whoever has delivered one may say
-- so. One that is scheduled for a retry is not pending, and stays; another that is not is
-- gone already.
local function flush(name, a, first, last)
  local q, n = P .. 'q:' .. name, last - first + 1
  local pending = redis.call('XACK', q, 'd', unpack(a.ids, first, last)) == n
  if pending then redis.call('XDEL', q, unpack(a.ids, first, last)) end
  for i = first, last do
    local id, at = a.ids[i], a.args[i]
    if pending or (not redis.call('ZSCORE', P .. 'due:' .. name, id) and redis.call('XDEL', q, id) == 1) then
      if ARGV[at + 6] == '1' then redis.call('HDEL', P .. 'retry:' .. name, id) end
      if ARGV[at + 5] == '1' then release(ARGV[at + 3]) end
      out[a.outs[i]] = '1'
    end
  end
end

local at = 7 + count
while at <= #ARGV do
  local op = ARGV[at]
  if op == 'B' then
    local n = tonumber(ARGV[at + 1])
    at = at + 2
    if full(at, n) then
      for _ = 1, n do out[#out + 1] = 'FULL' end
      at = at + 6 * n
    end
  elseif op == 'P' or op == 'R' then
    if op == 'R' then unbound() end
    local id = append(op, ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5])
    if type(id) == 'table' then
      if string.find(id.err, 'OOM', 1, true) == nil then return id end
      oom, id = true, 'OOM'
    end
    out[#out + 1] = id
    at = at + 6
  elseif op == 'C' then
    local name, want = names[tonumber(ARGV[at + 1])], ARGV[at + 2]
    local got, more = claim(name, consumer, tonumber(want))
    if got.err then return got end
    for _, e in ipairs(got) do
      entries[#entries + 1] = entry(name, e[1], e[2] or {}, '', fresh[e[1]])
    end
    out[#out + 1] = more and '1' or ''
    at = at + 3
  else
    unbound()
    local t, id = tonumber(ARGV[at + 1]), ARGV[at + 2]
    local name, done = names[t], '0'
    local q = P .. 'q:' .. name
    if op == 'A' then
      local origin, key, ref, state = ARGV[at + 3], ARGV[at + 4], ARGV[at + 5], ARGV[at + 6] == '1'
      if key == '' then
        acknowledge(t, at)
      elseif owns(name, id, consumer) and redis.call('XACK', q, 'd', id) == 1 then -- order needs the one in charge
        remove(name, id, origin, ref, state)
        promote(name, key)
        done = '1'
      end
      at = at + 7
    elseif op == 'D' then
      local origin, key, ref = ARGV[at + 3], ARGV[at + 4], ARGV[at + 5]
      if owns(name, id, consumer) then
        local found = redis.call('XRANGE', q, id, id)
        local event = found[1] and entry(name, id, found[1][2])[6] or ''
        redis.call('HSET', P .. 'dead:' .. name, 'm:' .. id, ARGV[at + 6], 'p:' .. id, event)
        redis.call('ZADD', P .. 'buried:' .. name, now, id)
        redis.call('XACK', q, 'd', id)
        remove(name, id, origin, ref, true)
        if key ~= '' then promote(name, key) end
        done = '1'
      end
      at = at + 7
    else
      if owns(name, id, consumer) then
        local due = now
        if op == 'L' then
          due = now + tonumber(ARGV[at + 3])
          -- One that has been through nothing leaves nothing to be removed with it.
          if ARGV[at + 4] ~= '' then redis.call('HSET', P .. 'retry:' .. name, id, ARGV[at + 4]) end
        end
        redis.call('ZADD', P .. 'due:' .. name, due, id)
        redis.call('XACK', q, 'd', id)
        done = '1'
      end
      at = at + (op == 'L' and 5 or 3)
    end
    out[#out + 1] = done
  end
end
for t, a in pairs(acks) do
  for first = 1, #a.ids, 1000 do flush(names[t], a, first, math.min(first + 999, #a.ids)) end
end
save()
return {gen, out, entries}
