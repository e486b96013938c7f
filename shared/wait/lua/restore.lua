-- Restores the record of a job that Redis has lost, as far as the job store knows it:
-- queued, to be looked up at the API before it is submitted, or waiting for a sweep
-- whose id is known. The latter holds a slot even above the limit: the API counts it,
-- so we must. An existing record stays unchanged. Admissions are numbered from the
-- job's age in seconds, a number that they have not reached, so that the next
-- admission events are new to a broker that has lost nothing.
-- ARGV[3] id  ARGV[4] header  ARGV[5] trace  ARGV[6] position in the queue,
-- "tenant/order id"  ARGV[7] when the job was accepted, ms  ARGV[8] QUEUE_TIMEOUT, ms
-- ARGV[9] trading job id, or '' for a job to be queued  ARGV[10] when its sweep
-- began, ms  ARGV[11] submissions after the first  ARGV[12] CALLBACK_TIMEOUT, ms
-- Returns {1 restored | 0 exists, now, record}
local id = ARGV[3]
local record = base .. id
if redis.call('EXISTS', record) == 1 then return answer(0, id) end
note_run('lost') -- also where no process has lived through it
local created = tonumber(ARGV[7])
redis.call('HSET', record, 'h', ARGV[4], 'n', ms(math.max(math.floor((now - created) / 1000), 0)))
if ARGV[5] ~= '' then redis.call('HSET', record, 't', ARGV[5]) end
if ARGV[9] == '' then
  local till = created + tonumber(ARGV[8])
  redis.call('HSET', record, 's', 'p', 'l', ms(till), 'k', '1')
  enqueue(id, ARGV[6])
  await(due, id, till)
  redis.call('PUBLISH', wakes, 'admit')
else
  redis.call('HSET', record, 's', 'w', 'x', ARGV[9], 'i', ARGV[10])
  if ARGV[11] ~= '0' then redis.call('HSET', record, 'u', ARGV[11]) end
  hold_slot(id)
  await_poll(id, now, tonumber(ARGV[10]) + tonumber(ARGV[12]))
end
redis.call('PUBLISH', changes, id)
return answer(1, id)
