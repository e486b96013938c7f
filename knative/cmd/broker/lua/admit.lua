-- Lets one process at a time take up a contract, and never an older one.
-- KEYS[1] the generation in force   KEYS[2] the lock
-- ARGV[1] our generation            ARGV[2] our token   ARGV[3] lease in ms
-- Returns "outdated", "busy", or "ok" with the lock held.
local force = tonumber(redis.call('GET', KEYS[1]) or '0')
if tonumber(ARGV[1]) < force then
  return 'outdated'
end
if not redis.call('SET', KEYS[2], ARGV[2], 'NX', 'PX', ARGV[3]) then
  return 'busy'
end
redis.call('SET', KEYS[1], ARGV[1])
return 'ok'
