-- The tenants' shares of the slots. A tenant that holds a slot gets another only while
-- more than 'kept' are free: its sweeps may take for ever, and nobody ends a sweep for
-- the sake of another. A tenant that holds none gets any free one. No more are kept
-- than there are tenants without, so that no slot is idle for nobody. 'tenants' is how
-- many there are, as the doors have said.
local function number(h, i)
  local n, unit = 0, 1
  while (string.byte(h, i) or 0) > 127 do
    n, unit, i = n + (string.byte(h, i) - 128) * unit, unit * 128, i + 1
  end
  return n + (string.byte(h, i) or 0) * unit, i + 1
end

local function word(h, i)
  local n, from = number(h, i)
  if n < #header_words then return header_words[n + 1], from end
  n = n - #header_words
  return string.sub(h, from, from + n - 1), from + n
end

-- tenant_of reads the tenant of an encoded header (header.go), nil if there is none: it
-- stands behind the version, seven numbers and the type of the job.
local function tenant_of(h)
  local version = h and string.byte(h) or 0
  if version < 1 or version > 3 then return nil end
  local i, tenant = 2, nil
  for _ = 1, 7 do _, i = number(h, i) end
  for _ = 1, 2 do tenant, i = word(h, i) end
  return tenant
end

-- holding is who holds slots, or nil while all tenants may have one. Duplicate sweeps
-- are their job's.
local function holding()
  if slots_max == 0 or kept == 0 then return nil end
  local free = slots_max - redis.call('ZCARD', slots)
  if free > kept then return nil end
  local tenants = tonumber(redis.call('GET', base .. 'tenants') or '1')
  if tenants < 2 then return nil end
  local held, without = {}, tenants
  for _, member in ipairs(redis.call('ZRANGE', slots, 0, -1)) do
    local tenant = tenant_of(redis.call('HGET', base .. string.sub(member, 1, 16), 'h'))
    if tenant and not held[tenant] then held[tenant], without = true, without - 1 end
  end
  if free > without then return nil end
  return held
end

-- may_hold reports whether a free slot may be a tenant's.
local function may_hold(tenant)
  local held = holding()
  return not held or not held[tenant]
end

-- next_tenant returns the tenant whose job is to be admitted next and the positions of
-- its first two jobs, or nil if nobody is queued who may have a free slot.
local function next_tenant()
  local held, rank = holding(), 0
  while true do
    local tenant = redis.call('ZRANGE', rotation, rank, rank)[1]
    if not tenant then return nil end
    if held and held[tenant] then
      rank = rank + 1
    else
      local found = positions_of(tenant, 2)
      if #found > 0 then return tenant, found end
      redis.call('ZREM', rotation, tenant)
    end
  end
end
