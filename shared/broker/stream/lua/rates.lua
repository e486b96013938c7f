-- Adds what became of deliveries to the counts of this hour and of this day.
-- KEYS[1] meta
-- ARGV: field and what to add, for each
-- Returns 1, or 0 where the partition is gone: nothing of it must come back.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local ofHour = string.format('%srates:h%d', P, math.floor(now / 3600000))
local ofDay = string.format('%srates:d%d', P, math.floor(now / 86400000))
for i = 1, #ARGV, 2 do
  redis.call('HINCRBY', ofHour, ARGV[i], ARGV[i + 1])
  redis.call('HINCRBY', ofDay, ARGV[i], ARGV[i + 1])
end
redis.call('PEXPIRE', ofHour, 26 * 3600000)
redis.call('PEXPIRE', ofDay, 32 * 86400000)
return 1
