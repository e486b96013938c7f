-- Computes the positions of jobs in the queue, assuming slots are freed one by one.
-- ARGV[3…] ids
-- Returns for each the position from 1; 0 for a job that is not queued
local tenants, queued = redis.call('ZRANGE', rotation, 0, -1), {}
for _, tenant in ipairs(tenants) do
  queued[tenant] = redis.call('ZLEXCOUNT', queue, '[' .. tenant .. '/', '(' .. tenant .. '0')
end
local function place(id)
  local position = redis.call('HGET', positions, id)
  if not position then return 0 end
  if redis.call('ZSCORE', later, id) then return 1 end
  local mine = string.match(position, '^([^/]*)/')
  local rank = redis.call('ZLEXCOUNT', queue, '[' .. mine .. '/', '(' .. position)
  local total, before = 1 + rank, true
  for _, tenant in ipairs(tenants) do
    if tenant == mine then
      before = false
    else
      total = total + math.min(queued[tenant], before and rank + 1 or rank)
    end
  end
  return total
end
local places = {}
for i = 3, #ARGV do places[i - 2] = place(ARGV[i]) end
return places
