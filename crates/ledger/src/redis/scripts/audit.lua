-- Appends an audit line to a stream and makes it findable by its decision, once.
-- Lines beyond `cap`, and lines older than `keep_ms`, go; at most TRIM of them per call, looked for
-- on every TRIM / 2-th line only, so that a line costs the same however long the stream is.
local TRIM = 64

local function append_audit(stream, index, decision, line, cap, keep_ms, now_ms)
  if redis.call('HEXISTS', index, decision) == 1 then
    return
  end
  redis.call('HSET', index, decision, redis.call('XADD', stream, '*', 'd', decision, 'l', line))
  local length = redis.call('XLEN', stream)
  if length % (TRIM / 2) == 0 then
    local entries, decisions = {}, {}
    for i, entry in ipairs(redis.call('XRANGE', stream, '-', '+', 'COUNT', TRIM)) do
      local at_ms = tonumber(string.match(entry[1], '^%d+'))
      if length - i + 1 <= cap and at_ms > now_ms - keep_ms then
        break
      end
      entries[i] = entry[1]
      decisions[i] = entry[2][2]
    end
    if #entries > 0 then
      redis.call('XDEL', stream, unpack(entries))
      redis.call('HDEL', index, unpack(decisions))
    end
  end
  redis.call('PEXPIRE', stream, keep_ms)
  redis.call('PEXPIRE', index, keep_ms)
end
