-- Writes a job's first record, once.
-- ARGV[3] id  ARGV[4] header  ARGV[5] fingerprint  ARGV[6] trace  ARGV[7] time to live, ms
-- ARGV[8] how many tenants there are, 0 if unknown  ARGV[9] the name of this Redis (restarts.lua)
-- as this process knows it, or ''  ARGV[10] how many jobs the tenant
-- may have queued and ARGV[11] the tenant, or neither
-- Returns {0 new | 1 known | 2 known with another fingerprint, header as stored} or
-- {3 too many queued, ''}, and the name of this Redis
local record = base .. ARGV[3]
local redis_name = note_run(ARGV[9])
local r = redis.call('HMGET', record, 's', 'f', 'h')
if r[1] then
  if r[2] and r[2] ~= ARGV[5] then return {2, r[3], redis_name} end
  if r[1] == 'a' then redis.call('HDEL', record, 'O') end -- its event is about to be sent again
  return {1, r[3], redis_name}
end
if ARGV[10] and redis.call('ZLEXCOUNT', base .. 'line', '[' .. ARGV[11] .. '/', '(' .. ARGV[11] .. '0') >= tonumber(ARGV[10]) then
  return {3, '', redis_name}
end
redis.call('HSET', record, 's', 'a', 'h', ARGV[4], 'f', ARGV[5])
if ARGV[6] ~= '' then redis.call('HSET', record, 't', ARGV[6]) end
redis.call('PEXPIRE', record, ARGV[7])
if ARGV[8] ~= '0' and redis.call('GET', base .. 'tenants') ~= ARGV[8] then redis.call('SET', base .. 'tenants', ARGV[8]) end
return {0, ARGV[4], redis_name}
