-- Raises the generation by compare-and-set.
-- KEYS  1 head
-- ARGV  1 from, 2 epoch, 3 the replica's clock in s, 4 largest skew in s
local head = redis.call('HMGET', KEYS[1], 'generation', 'epoch')
local generation = tonumber(head[1] or 0)
if generation == 0 or head[2] ~= ARGV[2] then
  return { 'replaced' }
end
if generation ~= tonumber(ARGV[1]) then
  return { 'generation', generation }
end
local now = redis.call('TIME')[1]
local skew = tonumber(ARGV[3]) - now
if math.abs(skew) > tonumber(ARGV[4]) then
  return { 'skew', skew * 1000 }
end
redis.call('HSET', KEYS[1], 'generation', string.format('%.0f', generation + 1),
  'since', string.format('%.0f', math.max(tonumber(ARGV[3]), now)))
return { 'ok', generation + 1 }
