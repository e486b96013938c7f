-- Leases the waits of a shard that are due: nobody else gets them before the
-- lease ends or whoever works on them says when they are due next.
-- KEYS[1] due set
-- ARGV[1] now, ms  ARGV[2] end of the lease  ARGV[3] how many at most
-- ARGV[4] what the records' keys begin with; they share the due set's hash tag
-- Returns {id, record, id, record, ...}
local out = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])) do
  local record = redis.call('HGETALL', ARGV[4] .. id)
  if #record == 0 then
    redis.call('ZREM', KEYS[1], id)
  else
    redis.call('ZADD', KEYS[1], ARGV[2], id)
    out[#out + 1] = id
    out[#out + 1] = record
  end
end
return out
