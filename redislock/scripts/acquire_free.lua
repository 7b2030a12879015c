-- The quick way of acquire, which also takes its arguments: most ask for a lock that
-- nobody has or wants, and that they have not taken back. There is nothing to look at
-- then but the caller, and Python's locks.
--
-- ARGV: sharded or not, holder, its session, its request ("mode limit session pid
-- host"), whether it waits ("wait" or "try"), the lock's name.
-- Returns granted FENCE | waiting PLACE | locked OWNER | over | foreign COUNT |
-- withdrawn.
local holder, session, request, wait, name = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]

-- The caller may have given up already, if this command was long on its way.
local withdrawn = session .. ':withdrawn:' .. holder

-- Python's locks are subscriptions to the channel of that name.
local function foreign()
  return tonumber(redis.call('PUBSUB', 'NUMSUB', name)[2])
end

if redis.call('EXISTS', owners, queue, withdrawn) == 0 and alive(session) and foreign() == 0 then
  return {'granted', own(holder, request)}
end
