-- Forgets the control slots whose time is over, at most STEP of them per call.
local STEP = 1000

local function forget_expired(slots, expiry, now_s)
  local over = redis.call('ZRANGEBYSCORE', expiry, '-inf', now_s, 'LIMIT', 0, STEP)
  if #over > 0 then
    redis.call('HDEL', slots, unpack(over))
    redis.call('ZREM', expiry, unpack(over))
  end
end
