-- Tells a breaker how a call went.
-- ARGV[3] gate or reads  ARGV[4] 1 for a success  ARGV[5] what the API asks to wait, ms
-- Returns for how many ms the breaker is shut, 0 if it is open
local key = base .. ARGV[3]
if ARGV[4] == '1' then well(key) else ill(key, tonumber(ARGV[5])) end
local shut = closed(key)
return shut and math.ceil(shut - now) or 0
