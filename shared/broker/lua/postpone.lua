-- Moves an entry from its group to the retry set, or sets a new due time.
-- KEYS[1] stream  KEYS[2] due set  KEYS[3] retries hash
-- ARGV[1] group  ARGV[2] entry id  ARGV[3] due time in Unix milliseconds
-- ARGV[4] retry state  ARGV[5] event, encoded
-- ARGV[6] the lease's owner, empty if the entry comes from the group
-- Returns 1, or 0 if another process has taken the lease over.
-- Acknowledged last: what denies writes (out of memory) denies the first one.
local id = ARGV[2]
if ARGV[6] ~= '' then
  local owner = redis.call('HGET', KEYS[3], 'o:' .. id)
  if owner and owner ~= ARGV[6] then return 0 end
end
redis.call('HSET', KEYS[3], 'p:' .. id, ARGV[5], 'm:' .. id, ARGV[4])
redis.call('ZADD', KEYS[2], ARGV[3], id)
redis.call('HDEL', KEYS[3], 'o:' .. id)
redis.call('XACK', KEYS[1], ARGV[1], id)
return 1
