-- Strikes chores off an ended wait. With none left the wait is due no more and
-- its record lives on only to know late callbacks by.
-- KEYS[1] record  KEYS[2] due set
-- ARGV[1] id  ARGV[2] chores done  ARGV[3] time to live of the record, ms
-- Returns the chores that are left
local r = redis.call('HMGET', KEYS[1], 's', 'o')
if r[1] ~= 'c' and r[1] ~= 'f' then return '' end
local left = string.gsub(r[2] or '', '[' .. ARGV[2] .. ']', '')
if left ~= '' then
  redis.call('HSET', KEYS[1], 'o', left)
  return left
end
redis.call('HDEL', KEYS[1], 'o', 'k', 'y', 'd')
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return ''
