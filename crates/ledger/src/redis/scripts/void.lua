-- Marks an issuance as never released.
-- KEYS  1 issuance, 2 live index     ARGV  1 live member
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('SETRANGE', KEYS[1], 0, 'V')
  redis.call('ZREM', KEYS[2], ARGV[1])
end
return { 'ok' }
