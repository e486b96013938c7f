-- Ends a wait; the first writer wins. What has to follow (the event, cancelling
-- the sweep) is noted as chores in the same step, so that a crash after it loses
-- nothing, and the slot is free unless the sweep is still to be cancelled. Who
-- tells of another sweep than the wait's ends nothing.
-- ARGV[3] id  ARGV[4] state, c or f  ARGV[5] chores  ARGV[6] when the event is the
-- supervisor's, in ms  ARGV[7] 1 to overturn a completed wait  ARGV[8] how long the
-- sweep took, ms, or ''  ARGV[9] trading job id, or ''  ARGV[10] when it ended,
-- Unix ms; '' now  ARGV[11] what is reported of reads  ARGV[12] 1 if the caller tells
-- of a turn that is dealt with the slot that gets free  ARGV[13] TURN_TIMEOUT, ms
-- ARGV[14...] fields and values
-- Returns {1 ended by this | 0 ended before | 2 of another sweep | -1 unknown, now,
-- record, {id, record} of the turn}
local id, sweep = ARGV[3], ARGV[9]
local record = base .. id
local r = redis.call('HMGET', record, 's', 'k', 'i', 'x', 'F', 'y', 'D')
local s = r[1]
if not s then return {-1, ms(now), {}} end
reported(reads, ARGV[11])
if sweep ~= '' and ((r[4] and r[4] ~= sweep) or listed(r[5], sweep) or listed(r[7], sweep)) then
  return answer(2, id)
end
if s == 'f' or (s == 'c' and ARGV[7] ~= '1') then return answer(0, id) end
local chores = ARGV[5]
if s ~= 's' and s ~= 'w' and not r[2] then chores = string.gsub(chores, 'c', '') end
local at = tonumber(ARGV[10]) or now
local fields = {'s', ARGV[4], 'o', chores, 'z', ms(at)}
local function put(field, value) fields[#fields + 1], fields[#fields + 2] = field, value end
if sweep ~= '' then
  put('x', sweep)
  -- An end may come before the answer to its submission.
  if not r[3] and ARGV[8] ~= '' then put('i', ms(at - tonumber(ARGV[8]))) end
end
for i = 14, #ARGV, 2 do put(ARGV[i], ARGV[i + 1]) end
redis.call('HSET', record, unpack(fields))
local unwanted = string.find(chores, 'c', 1, true)
if unwanted then
  redis.call('HDEL', record, 'l', 'b', 'j', 'g', 'n', 'w', 'c')
else
  redis.call('HDEL', record, 'l', 'b', 'j', 'g', 'n', 'w', 'c', 'k', 'y')
end
if s == 'a' or s == 'c' then redis.call('PERSIST', record) end
if s == 'p' then leave(id) end
if s == 'w' or s == 'p' then
  if redis.call('ZREM', calls, id) == 0 then redis.call('ZREM', last, id) end
end
if unwanted then
  -- While it is being submitted nobody knows the sweep.
  await(calls, id, s == 's' and math.max(now, tonumber(r[6] or '0')) or now)
  redis.call('PUBLISH', wakes, 'admit')
elseif (slots_max > 0 or s == 'p') and redis.call('ZREM', slots, id) == 1 and redis.call('ZCARD', ring) > 0 then
  begin_turns(1, tonumber(ARGV[13]))
  if ARGV[12] ~= '1' or not from_line() or #dealt == 0 then redis.call('PUBLISH', wakes, 'admit') end
end
await(due, id, now + tonumber(ARGV[6]))
redis.call('PUBLISH', changes, id)
local out = answer(1, id)
out[4] = dealt
return out
