-- Counts a job's place in line, were all slots to get free one by one from now.
-- KEYS[1] line  KEYS[2] ring  KEYS[3] places  KEYS[4] later
-- ARGV[1] id
-- Returns the place from 1; 0 for a job that is not in line
local place = redis.call('HGET', KEYS[3], ARGV[1])
if not place then return 0 end
if redis.call('ZSCORE', KEYS[4], ARGV[1]) then return 1 end
local mine = string.match(place, '^([^/]*)/')
local rank = redis.call('ZLEXCOUNT', KEYS[1], '[' .. mine .. '/', '(' .. place)
local total, before = 1 + rank, true
for _, tenant in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  if tenant == mine then
    before = false
  else
    local n = redis.call('ZLEXCOUNT', KEYS[1], '[' .. tenant .. '/', '(' .. tenant .. '0')
    total = total + math.min(n, before and rank + 1 or rank)
  end
end
return total
