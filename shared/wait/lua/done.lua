-- Removes completed actions from ended waits. With none left a wait is no longer due,
-- and its record is retained only to recognize late callbacks.
-- ARGV[3] retention of the records, ms  ARGV[4...] id, state of the end that the
-- actions belong to (an end may be superseded meanwhile), actions done, id, ...
-- Returns how many waits have no actions left
local ttl, n = ARGV[3], 0
for i = 4, #ARGV, 3 do
  local id, done = ARGV[i], ARGV[i + 2]
  local record = base .. id
  local r = redis.call('HMGET', record, 's', 'o')
  if r[1] == ARGV[i + 1] then
    local left = string.gsub(r[2] or '', '[' .. done .. ']', '')
    if string.find(done, 'c', 1, true) then
      redis.call('ZREM', calls, id)
      release_slot(id)
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
