-- Asks for a call on behalf of a process, which has one question at a time.
-- ARGV[3] the process' name among the parties
-- Returns 0, or in how many ms to ask again
local _, _, floor = closed(reads)
if floor > now then return math.ceil(floor - now) end
return take(ARGV[3], 1)
