-- Notes how many partitions a Broker is spread over. It never gets fewer: what the
-- others hold is still delivered.
-- KEYS[1] meta, of partition 0
-- ARGV[1] number of partitions  ARGV[2] deduplication window, ms  ARGV[3] layout
-- Returns {partitions there are, numbers that were in use within the window...}
local layout = redis.call('HGET', KEYS[1], 'layout')
if (layout and layout ~= ARGV[3]) or (not layout and redis.call('EXISTS', P .. 'stream') == 1) then
  return redis.error_reply('LAYOUT ' .. (layout or '1'))
end
local was = tonumber(redis.call('HGET', KEYS[1], 'partitions') or '0')
local want = tonumber(ARGV[1])
local used = redis.call('HGET', KEYS[1], 'spread')
if used and tonumber(used) ~= want then redis.call('HSET', KEYS[1], 'grown:' .. used, now) end
redis.call('HSET', KEYS[1], 'partitions', math.max(was, want), 'spread', want, 'layout', ARGV[3])
local out = {math.max(was, want)}
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  local n = string.match(fields[i], '^grown:(%d+)$')
  if n then
    if tonumber(fields[i + 1]) < now - tonumber(ARGV[2]) then
      redis.call('HDEL', KEYS[1], fields[i])
    elseif tonumber(n) ~= want then
      out[#out + 1] = tonumber(n)
    end
  end
end
return out
