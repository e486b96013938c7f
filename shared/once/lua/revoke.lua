-- Makes something void before it expires.
-- KEYS[1] sorted set of what is void in a group; the score is when it expires, Unix
-- seconds. All that expires no later than the score of '' is void as well.
-- ARGV[1] its name  ARGV[2] when it expires  ARGV[3] names at most  ARGV[4] how long
-- the set is kept, ms
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
local over = redis.call('ZCARD', KEYS[1]) - ARGV[3]
if over > 0 then
  local out = redis.call('ZPOPMIN', KEYS[1], over + 1)
  redis.call('ZADD', KEYS[1], 'GT', out[#out], '')
end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
