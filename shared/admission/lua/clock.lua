-- Begins every script.
-- KEYS[1] what all keys begin with; a script touches no key of another hash tag
-- ARGV[1] the time, Unix ms, where a test holds the clock; '' takes that of Redis
-- ARGV[2] the limits, see limits.lua; '' in scripts that do without
local base = KEYS[1]
local now = tonumber(ARGV[1])
if not now then
  local t = redis.call('TIME')
  now = t[1] * 1000 + math.floor(t[2] / 1000)
end
local function ms(t) return string.format('%.0f', t) end
