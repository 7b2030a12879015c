-- renew prolongs a session's lease, and what its holders own. It stands alone,
-- without the records, since it is about a session, not about a lock.
--
-- KEYS: the session, then for each lock that it holds the owners and the fence.
-- ARGV: sharded or not, liveness, TTL of the lease in milliseconds, seconds after
-- which an unused lock is forgotten, then for each lock the holder.
-- Returns {0} if the session is over, else 1 and the numbers of the locks that
-- have vanished.
local session = KEYS[1]
local numsub = ARGV[1] == 'sharded' and 'SHARDNUMSUB' or 'NUMSUB'

if redis.call('GET', session) ~= ARGV[2] then return {0} end
if ARGV[2] == 'connection' and tonumber(redis.call('PUBSUB', numsub, session)[2]) == 0 then
  redis.call('DEL', session) -- nothing may revive it
  return {0}
end
redis.call('PEXPIRE', session, ARGV[3])

local answer = {1}
for i = 1, #ARGV - 4 do
  local owners, fence = KEYS[2 * i], KEYS[2 * i + 1]
  if redis.call('HEXISTS', owners, ARGV[4 + i]) == 1 then
    redis.call('EXPIRE', owners, ARGV[4])
    redis.call('EXPIRE', fence, ARGV[4])
  else
    answer[#answer + 1] = i
  end
end
return answer
