-- Requests a call for a process, which has one request pending at a time.
-- ARGV[3] the process' name among the parties
-- Returns 0, or in how many ms to retry
local _, _, floor = open_until(read_breaker)
if floor > now then return math.ceil(floor - now) end
return take(ARGV[3], 1)
