-- Sets a group back; never forward, which would skip what it has not read.
-- KEYS[1] stream
-- ARGV[1] group  ARGV[2] id after which it shall read on
-- Where there is no XGROUP SETID (miniredis) the group is made anew, from before
-- what is pending: that is then read again, and skipped by who still holds it.
-- Returns 1 if the group was set back, 0 if it is there or before already.
local function split(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local toMs, toSeq = split(ARGV[2])
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local g = {}
  for i = 1, #group, 2 do g[group[i]] = group[i + 1] end
  if g['name'] == ARGV[1] then
    local ms, seq = split(g['last-delivered-id'])
    if ms < toMs or (ms == toMs and seq <= toSeq) then return 0 end
    local set = redis.pcall('XGROUP', 'SETID', KEYS[1], ARGV[1], ARGV[2])
    if type(set) == 'table' and set.err then
      local pending = redis.call('XPENDING', KEYS[1], ARGV[1])
      local to = ARGV[2]
      if tonumber(pending[1]) > 0 then
        ms, seq = split(pending[2])
        if ms < toMs or (ms == toMs and seq <= toSeq) then to = string.format('%.0f-0', math.max(ms - 1, 0)) end
      end
      redis.call('XGROUP', 'DESTROY', KEYS[1], ARGV[1])
      redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], to)
    end
    return 1
  end
end
return redis.error_reply('NOGROUP no such group')
