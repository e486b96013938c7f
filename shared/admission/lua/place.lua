-- Counts a job's place in line, were all slots to get free one by one from now.
-- ARGV[3] id
-- Returns the place from 1; 0 for a job that is not in line
local place = redis.call('HGET', places, ARGV[3])
if not place then return 0 end
if redis.call('ZSCORE', later, ARGV[3]) then return 1 end
local mine = string.match(place, '^([^/]*)/')
local rank = redis.call('ZLEXCOUNT', line, '[' .. mine .. '/', '(' .. place)
local total, before = 1 + rank, true
for _, tenant in ipairs(redis.call('ZRANGE', ring, 0, -1)) do
  if tenant == mine then
    before = false
  else
    local n = redis.call('ZLEXCOUNT', line, '[' .. tenant .. '/', '(' .. tenant .. '0')
    total = total + math.min(n, before and rank + 1 or rank)
  end
end
return total
