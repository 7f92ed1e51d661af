-- The audit line of a decision, looked for in each pair of index and stream.
-- KEYS  index, stream, index, stream …     ARGV  1 decision
for i = 1, #KEYS, 2 do
  local entry = redis.call('HGET', KEYS[i], ARGV[1])
  if entry then
    local found = redis.call('XRANGE', KEYS[i + 1], entry, entry)
    if found[1] then
      return { 'ok', found[1][2][4] }
    end
  end
end
return { 'none' }
