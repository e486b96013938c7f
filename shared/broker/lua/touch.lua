-- Sets the idle time of pending entries that the consumer still owns: 0 renews
-- the claim, a great one hands the entry to whoever claims next.
-- KEYS[1] stream
-- ARGV[1] group  ARGV[2] consumer  ARGV[3] idle milliseconds  ARGV[4..] entry ids
-- Returns the number still owned.
local n = 0
for i = 4, #ARGV do
  if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2]) > 0 then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'IDLE', ARGV[3], 'JUSTID')
    n = n + 1
  end
end
return n
