-- Ends a wait; the first writer wins. The follow-up work (sending the event,
-- cancelling the sweep) is recorded as pending actions in the same step, so that a
-- crash loses nothing, and the slot is freed unless the sweep is still to be
-- cancelled. The end of another sweep than the wait's changes nothing.
-- ARGV[3] id  ARGV[4] state, c or f  ARGV[5] pending actions  ARGV[6] delay after
-- which the supervisor sends the event, ms  ARGV[7] 1 to supersede a completed wait
-- ARGV[8] duration of the sweep, ms, or ''  ARGV[9] trading job id, or ''  ARGV[10]
-- when it ended, Unix ms; '' now  ARGV[11] breaker report of reads  ARGV[12] 1 if the
-- caller sends the event of a job that is admitted to the freed slot  ARGV[13]
-- ADMISSION_TIMEOUT, ms  ARGV[14...] fields and values
-- Returns {1 ended by this call | 0 ended before | 2 of another sweep | -1 unknown,
-- now, record, {id, record} of the admitted job}
local id, sweep = ARGV[3], ARGV[9]
local record = base .. id
local r = redis.call('HMGET', record, 's', 'k', 'i', 'x', 'F', 'y', 'D')
local s = r[1]
if not s then return {-1, ms(now), {}} end
report(read_breaker, ARGV[11])
if sweep ~= '' and ((r[4] and r[4] ~= sweep) or listed(r[5], sweep) or listed(r[7], sweep)) then
  return answer(2, id)
end
if s == 'f' or (s == 'c' and ARGV[7] ~= '1') then return answer(0, id) end
local actions = ARGV[5]
if s ~= 's' and s ~= 'w' and not r[2] then actions = string.gsub(actions, 'c', '') end
local at = tonumber(ARGV[10]) or now
local fields = {'s', ARGV[4], 'o', actions, 'z', ms(at)}
local function put(field, value) fields[#fields + 1], fields[#fields + 2] = field, value end
if sweep ~= '' then
  put('x', sweep)
  -- An end may come before the answer to its submission.
  if not r[3] and ARGV[8] ~= '' then put('i', ms(at - tonumber(ARGV[8]))) end
end
for i = 14, #ARGV, 2 do put(ARGV[i], ARGV[i + 1]) end
redis.call('HSET', record, unpack(fields))
local unwanted = string.find(actions, 'c', 1, true)
if unwanted then
  redis.call('HDEL', record, 'l', 'b', 'j', 'g', 'n', 'w', 'c')
else
  redis.call('HDEL', record, 'l', 'b', 'j', 'g', 'n', 'w', 'c', 'k', 'y')
end
if s == 'a' or s == 'c' then redis.call('PERSIST', record) end
if s == 'p' then dequeue(id) end
if s == 'w' or s == 'p' then
  if redis.call('ZREM', calls, id) == 0 then redis.call('ZREM', last, id) end
end
if unwanted then
  -- While it is being submitted the sweep's id is unknown.
  await(calls, id, s == 's' and math.max(now, tonumber(r[6] or '0')) or now)
  redis.call('PUBLISH', wakes, 'admit')
elseif (slots_max > 0 or s == 'p') and redis.call('ZREM', slots, id) == 1 and redis.call('ZCARD', rotation) > 0 then
  begin_admissions(1, tonumber(ARGV[13]))
  if ARGV[12] ~= '1' or not admit_next() or #admitted == 0 then redis.call('PUBLISH', wakes, 'admit') end
end
await(due, id, now + tonumber(ARGV[6]))
redis.call('PUBLISH', changes, id)
local out = answer(1, id)
out[4] = admitted
return out
