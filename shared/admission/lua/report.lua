-- Reports the outcome of a call to a breaker.
-- ARGV[3] gate or reads  ARGV[4] 1 for a success  ARGV[5] Retry-After, ms
-- Returns for how many ms the breaker is open, 0 if it is closed
local key = base .. ARGV[3]
if ARGV[4] == '1' then succeeded(key) else failed(key, tonumber(ARGV[5])) end
local open = open_until(key)
return open and math.ceil(open - now) or 0
