-- Reads entries that a consumer has pending.
-- KEYS[1] meta
-- ARGV[1] Trigger  ARGV[2] consumer  ARGV[3..] entry ids
-- Returns the entries that it still has; one that was deleted from the queue is
-- acknowledged and has the state "deleted".
local name, out = ARGV[1], {}
for i = 3, #ARGV do
  local id = ARGV[i]
  if owns(name, id, ARGV[2]) then
    local found = redis.call('XRANGE', P .. 'q:' .. name, id, id)
    if found[1] then
      out[#out + 1] = entry(name, id, found[1][2], redis.call('HGET', P .. 'retry:' .. name, id) or '')
    else
      redis.call('XACK', P .. 'q:' .. name, 'd', id)
      out[#out + 1] = {name, id, id, '', '', '', 'deleted'}
    end
  end
end
return out
