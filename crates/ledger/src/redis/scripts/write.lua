-- Appends control entries: each replaces its slot and gets the next number of the stream.
-- KEYS  1 head, 2 slots, 3 expiry index, 4 stream
-- ARGV  1 generation, 2 epoch, 3 cap of the stream, 4 cap of slots, then for each entry: slot,
--       until (s), sealed
local head = redis.call('HMGET', KEYS[1], 'generation', 'epoch', 'seq')
local generation = tonumber(head[1] or 0)
if generation ~= tonumber(ARGV[1]) then
  return { 'generation', generation }
end
if head[2] ~= ARGV[2] then
  return { 'replaced' }
end
forget_expired(KEYS[2], KEYS[3], redis.call('TIME')[1])
if redis.call('HLEN', KEYS[2]) + (#ARGV - 4) / 3 > tonumber(ARGV[4]) then
  return { 'full' }
end
local seq = tonumber(head[3])
for i = 5, #ARGV, 3 do
  seq = seq + 1
  redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 2])
  redis.call('ZADD', KEYS[3], ARGV[i + 1], ARGV[i])
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[3], string.format('%.0f-0', seq), 'e', ARGV[i + 2])
end
redis.call('HSET', KEYS[1], 'seq', string.format('%.0f', seq))
return { 'ok', seq }
