-- Removes the oldest history: what is older than the retention, or more bytes
-- than may be kept. No queue depends on it.
-- KEYS[1] meta
-- ARGV[1] retention, ms  ARGV[2] greatest number of bytes  ARGV[3] entries to look at
-- Returns {removed, "1" if there is more to remove}
local h = P .. 'history'
local limit = tonumber(ARGV[2])
local entries = redis.call('XRANGE', h, '-', '+', 'COUNT', ARGV[3])
if #entries == 0 then
  if bytes ~= 0 then bytes = 0; changed = true; save() end
  return {0, ''}
end
local n, last, apart = 0, nil, {}
for _, e in ipairs(entries) do
  local ms = tonumber(string.match(e[1], '^(%d+)'))
  if ms >= now - tonumber(ARGV[1]) and bytes <= limit then break end
  n, last, changed = n + 1, e[1], true
  if e[2][1] == 'b' then
    apart[#apart + 1] = e[1]
    bytes = bytes - redis.call('STRLEN', P .. 'body:' .. e[1])
  else
    bytes = bytes - #e[2][2]
  end
end
if n == 0 then return {0, ''} end
local after = entries[n + 1]
if after then redis.call('XTRIM', h, 'MINID', after[1]) else for _, e in ipairs(entries) do redis.call('XDEL', h, e[1]) end end
for _, id in ipairs(apart) do release(id) end
bytes = math.max(bytes, 0)
save()
return {n, #entries == n and '1' or ''}
