-- Takes the retries that are due back into the consumer group, for this consumer.
-- KEYS[1] meta
-- ARGV[1] consumer
-- then name of a Trigger and how many of its entries to take, for each
-- Returns {entries, milliseconds until the next is due or -1, retries without an
-- entry, which were dropped}. Those of a Trigger with no room are not counted.
local entries, soonest, lost, size = {}, -1, 0, 0
for i = 2, #ARGV, 2 do
  local name, room = ARGV[i], tonumber(ARGV[i + 1])
  local q, set, states = P .. 'q:' .. name, P .. 'due:' .. name, P .. 'retry:' .. name
  if room > 0 then
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', set, '-inf', now, 'LIMIT', 0, room)) do
      if size >= MOST then break end
      local found = redis.call('XRANGE', q, id, id)
      redis.call('ZREM', set, id)
      if found[1] then
        redis.call('XCLAIM', q, 'd', ARGV[1], 0, id, 'FORCE', 'JUSTID')
        entries[#entries + 1] = entry(name, id, found[1][2], redis.call('HGET', states, id) or '')
        size = size + #entries[#entries][6]
        room = room - 1
      else
        redis.call('HDEL', states, id)
        lost = lost + 1
      end
    end
    local first = redis.call('ZRANGE', set, 0, 0, 'WITHSCORES')
    if first[2] and room > 0 then
      local wait = math.max(tonumber(first[2]) - now, 0)
      if soonest < 0 or wait < soonest then soonest = wait end
    end
  end
end
return {entries, string.format('%.0f', soonest), lost}
