-- The quick way of release: most give back a lock that nobody waits for, and have no
-- command under way that might come later.
--
-- ARGV: as for release.
if ARGV[4] == '0' and redis.call('EXISTS', queue) == 0 then
  return redis.call('HDEL', owners, ARGV[2])
end
