-- Puts back the record of a job that Redis has lost, as far as its owner knows
-- it: in line, to be looked for at the API before it is submitted, or waiting for a
-- sweep whose id is known. That one holds a slot whether or not one is free: the
-- API counts it, so we must. A record that is there stays as it is. Turns are
-- counted on from the job's age in seconds, a number that they have not reached, so
-- that the events of the next ones are new to a broker that has lost nothing.
-- ARGV[3] id  ARGV[4] header  ARGV[5] trace  ARGV[6] place in line, "tenant/order id"
-- ARGV[7] when the job was taken in, ms  ARGV[8] QUEUE_TIMEOUT, ms
-- ARGV[9] trading job id, or '' for one to be put in line  ARGV[10] when its sweep
-- began, ms  ARGV[11] submissions after the first  ARGV[12] CALLBACK_TIMEOUT, ms
-- Returns {1 put back | 0 was there, now, record}
local id = ARGV[3]
local record = base .. id
if redis.call('EXISTS', record) == 1 then return answer(0, id) end
local created = tonumber(ARGV[7])
redis.call('HSET', record, 'h', ARGV[4], 'n', ms(math.max(math.floor((now - created) / 1000), 0)))
if ARGV[5] ~= '' then redis.call('HSET', record, 't', ARGV[5]) end
if ARGV[9] == '' then
  local till = created + tonumber(ARGV[8])
  redis.call('HSET', record, 's', 'p', 'l', ms(till), 'k', '1')
  stand(id, ARGV[6])
  await(due, id, till)
  redis.call('PUBLISH', wakes, 'admit')
else
  redis.call('HSET', record, 's', 'w', 'x', ARGV[9], 'i', ARGV[10])
  if ARGV[11] ~= '0' then redis.call('HSET', record, 'u', ARGV[11]) end
  hold(id)
  await_poll(id, now, tonumber(ARGV[10]) + tonumber(ARGV[12]))
end
redis.call('PUBLISH', changes, id)
return answer(1, id)
