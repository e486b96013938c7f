-- The limits, in the order of Config.limits; times are ms, 0 means no limit.
local limits = {}
for v in string.gmatch(ARGV[2], '[^,]+') do limits[#limits + 1] = tonumber(v) end
local slots_max, admissions_max, burst, reserve, every, fresh, grace, backoff_min, backoff_max, probe, kept = unpack(limits)
local wakes = base .. 'wakes'
