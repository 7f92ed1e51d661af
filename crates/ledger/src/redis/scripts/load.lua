-- The whole control state in one consistent read. The first reader of a new store starts it.
-- KEYS  1 head, 2 slots, 3 expiry index, 4 stream
-- ARGV  1 epoch for a new store, 2 layout, 3 partitions
local time = redis.call('TIME')
if redis.call('HEXISTS', KEYS[1], 'generation') == 0 then
  redis.call('HSET', KEYS[1], 'layout', ARGV[2], 'partitions', ARGV[3], 'epoch', ARGV[1],
    'generation', 1, 'since', time[1], 'seq', 0)
  -- A stream whose sequence is lost cannot be continued.
  redis.call('DEL', KEYS[4])
end
forget_expired(KEYS[2], KEYS[3], time[1])
local head = redis.call('HMGET', KEYS[1], 'layout', 'partitions', 'epoch', 'generation', 'since', 'seq')
return { head, time, redis.call('HVALS', KEYS[2]) }
