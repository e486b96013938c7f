-- Removes a consumer that has nothing pending from Triggers' groups.
-- KEYS[1] meta
-- ARGV[1] consumer  ARGV[2..] names of Triggers
-- Returns the number of groups it was removed from.
local n = 0
for i = 2, #ARGV do
  local q = P .. 'q:' .. ARGV[i]
  if redis.call('EXISTS', q) == 1 and #pending(ARGV[i], ARGV[1], '-', '+', 1) == 0 then
    redis.call('XGROUP', 'DELCONSUMER', q, 'd', ARGV[1])
    n = n + 1
  end
end
return n
