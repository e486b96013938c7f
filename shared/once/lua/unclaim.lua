-- Gives a claim back, unless its work is done. What a winner before may have
-- done stays known.
-- KEYS[1] claim  KEYS[2] that it was won before
-- Returns 1 where a claim was given back
local v = redis.call('GET', KEYS[1])
if v ~= 'held' and v ~= 'again' then return 0 end
if v == 'held' then redis.call('DEL', KEYS[2]) end
return redis.call('DEL', KEYS[1])
