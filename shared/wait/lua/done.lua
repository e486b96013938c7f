-- Strikes chores off ended waits. With none left a wait is due no more and its
-- record lives on only to know late callbacks by.
-- ARGV[3] time to live of the records, ms  ARGV[4...] id, state of the end whose
-- chores they are (an end may be overturned meanwhile), chores done, id, ...
-- Returns how many waits have none left
local ttl, n = ARGV[3], 0
for i = 4, #ARGV, 3 do
  local id, done = ARGV[i], ARGV[i + 2]
  local record = base .. id
  local r = redis.call('HMGET', record, 's', 'o')
  if r[1] == ARGV[i + 1] then
    local left = string.gsub(r[2] or '', '[' .. done .. ']', '')
    if string.find(done, 'c', 1, true) then
      redis.call('ZREM', calls, id)
      release(id)
    end
    if not string.find(left, '[el]') then redis.call('ZREM', due, id) end
    if left ~= '' then
      redis.call('HSET', record, 'o', left)
    else
      redis.call('HDEL', record, 'o', 'k', 'y', 'd')
      redis.call('PEXPIRE', record, ttl)
      n = n + 1
    end
  end
end
return n
