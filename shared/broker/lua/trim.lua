-- Removes the entries that every group has acknowledged and that are older than
-- the retention; above the soft limit, those within the retention too.
-- KEYS[1] stream
-- ARGV[1] entries from this Unix millisecond on are history to keep
-- ARGV[2] soft limit of entries
-- Returns the number removed.
local length = redis.call('XLEN', KEYS[1])
if length == 0 then return 0 end

local function split(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end

local safeMs, safeSeq
local function bound(ms, seq)
  if not safeMs or ms < safeMs or (ms == safeMs and seq < safeSeq) then safeMs, safeSeq = ms, seq end
end

for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local g = {}
  for i = 1, #group, 2 do g[group[i]] = group[i + 1] end
  local pending = redis.call('XPENDING', KEYS[1], g['name'])
  if tonumber(pending[1]) > 0 then
    bound(split(pending[2]))
  else
    local ms, seq = split(g['last-delivered-id'])
    bound(ms, seq + 1)
  end
end

if length <= tonumber(ARGV[2]) then bound(tonumber(ARGV[1]), 0) end
if not safeMs then return redis.call('XTRIM', KEYS[1], 'MAXLEN', ARGV[2]) end
return redis.call('XTRIM', KEYS[1], 'MINID', string.format('%.0f-%.0f', safeMs, safeSeq))
