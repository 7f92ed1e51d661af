-- The whole control state in one consistent read. The first reader of a new store starts it; the
-- first replica that meets a store which is not the one that it knew raises the generation, so
-- that no replica goes on issuing into it unawares.
-- KEYS  1 head, 2 slots, 3 expiry index, 4 stream
-- ARGV  1 epoch for a new store, 2 layout, 3 partitions, 4 server, and what the replica knew:
--       5 server ('' if nothing), 6 epoch, 7 generation, 8 '1' if the store has gone back since
local time = redis.call('TIME')
if redis.call('HEXISTS', KEYS[1], 'generation') == 0 then
  redis.call('HSET', KEYS[1], 'layout', ARGV[2], 'partitions', ARGV[3], 'epoch', ARGV[1],
    'generation', 1, 'since', time[1], 'seq', 0)
  -- A stream whose sequence is lost cannot be continued.
  redis.call('DEL', KEYS[4])
end
forget_expired(KEYS[2], KEYS[3], time[1])

local head = redis.call('HMGET', KEYS[1], 'epoch', 'generation', 'raised_for')
local same = ARGV[4] == ARGV[5] and head[1] == ARGV[6]
local went_back = same and ARGV[8] == '1'
if ARGV[5] ~= '' and (went_back or (not same and head[3] ~= ARGV[4])) then
  local generation = math.max(tonumber(head[2]), tonumber(ARGV[7])) + 1
  -- Evidence of the present second may have been used before the change.
  redis.call('HSET', KEYS[1], 'generation', string.format('%.0f', generation),
    'since', string.format('%.0f', time[1] + 1), 'raised_for', ARGV[4])
  if went_back then
    -- Numbers of the stream are given out again: no position from before may be followed.
    redis.call('HSET', KEYS[1], 'epoch', ARGV[1])
  end
end

return {
  redis.call('HMGET', KEYS[1], 'layout', 'partitions', 'epoch', 'generation', 'since', 'seq'),
  time,
  redis.call('HVALS', KEYS[2]),
}
