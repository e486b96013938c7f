-- Renews (or, with a due time of now, gives back) leases of a retry set.
-- KEYS[1] due set  KEYS[2] retries hash
-- ARGV[1] new end of the lease  ARGV[2] owner  ARGV[3] "1" to give back
-- ARGV[4..] entry ids
-- Returns the number still owned.
local n = 0
for i = 4, #ARGV do
  if redis.call('HGET', KEYS[2], 'o:' .. ARGV[i]) == ARGV[2] then
    redis.call('ZADD', KEYS[1], 'XX', ARGV[1], ARGV[i])
    if ARGV[3] == '1' then redis.call('HDEL', KEYS[2], 'o:' .. ARGV[i]) end
    n = n + 1
  end
end
return n
