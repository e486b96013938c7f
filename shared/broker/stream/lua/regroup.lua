-- Makes the missing groups of queues again, from the beginning: a queue holds only
-- what is not finished.
-- KEYS[1] meta
-- ARGV names of Triggers
-- Returns the names of those that are not registered; they get no queue.
-- Error LOST where there are no routes at all.
if gen == '' then return redis.error_reply('LOST the routes') end
local gone = {}
for _, name in ipairs(ARGV) do
  if redis.call('HEXISTS', P .. 'routes', name) == 0 then
    gone[#gone + 1] = name
  else
    local made = redis.pcall('XGROUP', 'CREATE', P .. 'q:' .. name, 'd', '0', 'MKSTREAM')
    if type(made) == 'table' and made.err and string.sub(made.err, 1, 9) ~= 'BUSYGROUP' then return made end
  end
end
return gone
