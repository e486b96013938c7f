-- Computes a job's position in the queue, assuming slots are freed one by one.
-- ARGV[3] id
-- Returns the position from 1; 0 for a job that is not queued
local position = redis.call('HGET', positions, ARGV[3])
if not position then return 0 end
if redis.call('ZSCORE', later, ARGV[3]) then return 1 end
local mine = string.match(position, '^([^/]*)/')
local rank = redis.call('ZLEXCOUNT', queue, '[' .. mine .. '/', '(' .. position)
local total, before = 1 + rank, true
for _, tenant in ipairs(redis.call('ZRANGE', rotation, 0, -1)) do
  if tenant == mine then
    before = false
  else
    local n = redis.call('ZLEXCOUNT', queue, '[' .. tenant .. '/', '(' .. tenant .. '0')
    total = total + math.min(n, before and rank + 1 or rank)
  end
end
return total
