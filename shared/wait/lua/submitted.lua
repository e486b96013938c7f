-- Records the API's id of a sweep: submitting -> waiting. The answer of an attempt
-- that lost its lease (parked again) still counts. A wait that has ended meanwhile
-- stays ended; its sweep, or a duplicate one, is to be cancelled.
-- ARGV[3] id  ARGV[4] trading job id  ARGV[5] estimate, ms  ARGV[6] first poll, in
-- ms  ARGV[7] CALLBACK_TIMEOUT, ms
-- Returns {0 ended | 1 waiting | 2 waiting for another sweep | -1 unknown, now, record}
local id, sweep = ARGV[3], ARGV[4]
local record = base .. id
local r = redis.call('HMGET', record, 's', 'x', 'e', 'o', 'i', 'c', 'F')
local s = r[1]
if not s then return {-1, ms(now), {}} end
succeeded(submit_breaker)
if s == 's' or s == 'p' or s == 'a' then
  if ARGV[5] ~= '0' then
    redis.call('HSET', record, 's', 'w', 'x', sweep, 'i', ms(now), 'g', ARGV[5])
  else
    redis.call('HSET', record, 's', 'w', 'x', sweep, 'i', ms(now))
  end
  if r[5] then redis.call('HINCRBY', record, 'u', 1) end
  redis.call('HDEL', record, 'y', 'k', 'b', 'l', 'w', 'c')
  local from, to = listed(r[7], sweep)
  if from then -- the API has found it again
    redis.call('HSET', record, 'F', string.sub(r[7], 1, from - 1) .. string.sub(r[7], to + 1))
  end
  if s == 'a' then redis.call('PERSIST', record) end
  if s ~= 's' then
    dequeue(id)
    if r[6] and slots_max == 0 then release_slot(id) end
    hold_slot(id)
  end
  redis.call('ZREM', due, id)
  await_poll(id, now + tonumber(ARGV[6]), now + tonumber(ARGV[7]))
  redis.call('PUBLISH', changes, id)
  return answer(1, id)
end
if s == 'w' then
  if r[2] == sweep then return answer(1, id) end
  add_duplicate(id, sweep)
  return answer(2, id)
end
if r[2] and r[2] ~= sweep then
  add_duplicate(id, sweep)
  return answer(0, id)
end
if not r[2] then redis.call('HSET', record, 'x', sweep, 'i', ms(now)) end
if s == 'f' and (r[3] == 'cancelled' or r[3] == 'timed_out' or r[3] == 'undeliverable') then
  local o = r[4] or ''
  if not string.find(o, 'c', 1, true) then redis.call('HSET', record, 'o', o .. 'c') end
  redis.call('PERSIST', record)
  await(calls, id, now)
  hold_slot(id)
  redis.call('PUBLISH', wakes, 'admit')
end
return answer(0, id)
