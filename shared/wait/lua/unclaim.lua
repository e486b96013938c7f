-- Gives a claim back, unless its work is done.
-- KEYS[1] claim
-- Returns 1 where a claim was given back
if redis.call('GET', KEYS[1]) ~= 'held' then return 0 end
return redis.call('DEL', KEYS[1])
