-- The audit line of a denial, in a stream of its own: noise does not push permits out.
-- KEYS  1 audit stream, 2 audit index
-- ARGV  1 decision, 2 audit line, 3 cap of lines, 4 how long lines are kept (ms)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
append_audit(KEYS[1], KEYS[2], ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), now)
return { 'ok' }
