-- Has the grace of removed Triggers begin anew: a process serves them.
-- KEYS[1] meta
-- ARGV names
-- Returns how many of them are removed.
local n = 0
for _, name in ipairs(ARGV) do
  if redis.call('ZSCORE', P .. 'removed', name) then
    redis.call('ZADD', P .. 'removed', now, name)
    n = n + 1
  end
end
return n
