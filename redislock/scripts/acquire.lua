-- acquire asks for the lock, also once more for a holder that asked before: that
-- changes nothing for it, and finds what has died.
-- Its arguments and answers stand in acquire_free.lua.
local entry = redis.call('HGET', owners, holder)
if entry then return {'granted', parse(entry).fence} end
if not alive(session) then return {'over'} end

local first = head()
if first and redis.call('ZSCORE', queue, holder) then
  settle(0)
  entry = redis.call('HGET', owners, holder)
  if entry then return {'granted', parse(entry).fence} end
  for _, key in ipairs({queue, waiters}) do
    if redis.call('TTL', key) < FORGET / 2 then redis.call('EXPIRE', key, FORGET) end
  end
  return {'waiting', redis.call('ZRANK', queue, holder)}
end

if redis.call('EXISTS', withdrawn) == 1 then return {'withdrawn'} end
if foreign() > 0 then return {'foreign', foreign()} end

local r = parse('0 0 ' .. request)
if first and wait ~= 'wait' then
  settle(0) -- those who wait may all be dead
  first = head()
end
if not first and (fits(r) or (reap() and fits(r))) then
  return {'granted', own(holder, request)}
end
if wait ~= 'wait' then return {'locked', somebody()} end

-- Behind others nothing can be had. Whether those before are alive, and the owners,
-- is what the checks of the front find out: a newcomer that looked, too, would make
-- each turn of a busy lock longer.
local last = redis.call('ZREVRANGE', queue, 0, 0, 'WITHSCORES')[2]
redis.call('ZADD', queue, string.format('%.0f', tonumber(last or 0) + 1), holder)
redis.call('HSET', waiters, holder, '0 ' .. clock() .. ' ' .. request)
if not first then
  redis.call('EXPIRE', queue, FORGET)
  redis.call('EXPIRE', waiters, FORGET)
end
return {'waiting', redis.call('ZRANK', queue, holder)}
