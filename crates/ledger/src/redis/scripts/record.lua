-- One credential: every check, then every write. Nothing is written unless everything holds.
-- KEYS  1 head, 2 issuance, 3 live index, 4 audit stream, 5 audit index, [mark], limits …
-- ARGV  1 generation, 2 epoch, 3 the replica's clock in ms, 4 largest skew in ms, 5 attempt,
--       6 packed issuance, 7 until when it is kept (s), 8 live member, 9 until when it lives (s),
--       10 decision, 11 audit line, 12 cap of lines, 13 how long lines are kept (ms),
--       14 until when the mark is kept (s) or '', then for each limit: interval (ms), burst
local whole = function(number)
  return string.format('%.0f', number)
end

local head = redis.call('HMGET', KEYS[1], 'generation', 'epoch')
local generation = tonumber(head[1] or 0)
if generation ~= tonumber(ARGV[1]) then
  return { 'generation', generation }
end
if head[2] ~= ARGV[2] then
  return { 'replaced' }
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local skew = tonumber(ARGV[3]) - now
if math.abs(skew) > tonumber(ARGV[4]) then
  return { 'skew', skew }
end

-- The same attempt again gets the first answer; a void record is no answer.
local held = redis.call('GETRANGE', KEYS[2], 0, 16)
if held ~= '' then
  if held == 'R' .. ARGV[5] then
    return { 'ok' }
  end
  return { 'taken' }
end

local limits = 6
local mark
if ARGV[14] ~= '' then
  mark = KEYS[6]
  limits = 7
  if redis.call('EXISTS', mark) == 1 then
    return { 'replayed' }
  end
end

-- The generic cell rate algorithm: what is stored is the theoretical arrival time of the next.
local arrivals, longest, which = {}, 0, 0
for i = limits, #KEYS do
  local at = 15 + 2 * (i - limits)
  local interval, window = tonumber(ARGV[at]), tonumber(ARGV[at]) * tonumber(ARGV[at + 1])
  local arrival = tonumber(redis.call('GET', KEYS[i]) or now)
  arrival = math.min(math.max(arrival, now), now + window) + interval
  local wait = arrival - window - now
  if wait > longest then
    longest, which = wait, i - limits
  end
  arrivals[i] = arrival
end
if longest > 0 then
  return { 'limited', which, longest }
end

redis.call('SET', KEYS[2], ARGV[6], 'EXAT', ARGV[7])
if mark then
  redis.call('SET', mark, ARGV[5], 'EXAT', ARGV[14])
end
for i = limits, #KEYS do
  redis.call('SET', KEYS[i], whole(arrivals[i]), 'PX', whole(math.max(arrivals[i] - now, 1)))
end

redis.call('ZADD', KEYS[3], ARGV[9], ARGV[8])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', time[1])
if redis.call('TTL', KEYS[3]) < tonumber(ARGV[9]) - time[1] then
  redis.call('EXPIREAT', KEYS[3], ARGV[9])
end

append_audit(KEYS[4], KEYS[5], ARGV[10], ARGV[11], tonumber(ARGV[12]), tonumber(ARGV[13]), now)
return { 'ok' }
