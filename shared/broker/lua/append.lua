-- Appends the events of one partition that are not repeats.
-- KEYS[1]   stream
-- KEYS[2..] deduplication key of each event
-- ARGV[1]   deduplication window in milliseconds
-- ARGV[2]   greatest number of entries the stream may have
-- ARGV[3..] each event, encoded
-- Returns for each event its entry id, with "=" before it if it is a repeat.
-- Error FULL if the events that are new do not fit; nothing is stored then.
-- The entry goes before its deduplication key: should the script die between
-- the two, the event is stored twice rather than never.
local n = #KEYS - 1
local out, fresh = {}, 0
for i = 1, n do
  local id = redis.call('GET', KEYS[i + 1])
  if id then out[i] = '=' .. id else fresh = fresh + 1 end
end
if fresh == 0 then return out end
if redis.call('XLEN', KEYS[1]) + fresh > tonumber(ARGV[2]) then
  return redis.error_reply('FULL the stream is at its cap')
end
for i = 1, n do
  if not out[i] then
    local id = redis.call('GET', KEYS[i + 1])
    if id then
      out[i] = '=' .. id
    else
      id = redis.call('XADD', KEYS[1], '*', 'e', ARGV[i + 2])
      redis.call('SET', KEYS[i + 1], id, 'PX', ARGV[1])
      out[i] = id
    end
  end
end
return out
