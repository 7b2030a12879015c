-- Who may own a lock, and who comes next.

-- So many waiters, from the head of the queue on, look for dead owners at every
-- check interval, so that several may die at once.
local FRONT = 8

-- fits: whether a request may own the lock beside those who own it now. They are
-- of one mode, or they would not own it together, so any one speaks for all.
local function fits(r)
  local n = redis.call('HLEN', owners)
  if n == 0 then return true end
  if r.mode == 'exclusive' or (r.limit > 0 and n >= r.limit) then return false end
  return parse(redis.call('HRANDFIELD', owners, 1, 'WITHVALUES')[2]).mode == r.mode
end

-- reap removes the owners whose sessions are dead, and says whether it found any.
local function reap()
  local all, found = redis.call('HGETALL', owners), false
  for i = 1, #all, 2 do
    if not alive(parse(all[i + 1]).session) then
      redis.call('HDEL', owners, all[i])
      found = true
    end
  end
  return found
end

local function leave(holder)
  redis.call('HDEL', waiters, holder)
  return redis.call('ZREM', queue, holder)
end

local function head()
  return redis.call('ZRANGE', queue, 0, 0)[1]
end

-- settle gives the lock to the head of the queue while it fits, past those who are
-- dead. Where nobody could be served it looks for dead owners; where somebody was,
-- the next check of a waiter does. Those who have come to the front, behind so many
-- that left it already, are told, since they must check more often from now on.
local function settle(left)
  local served = false
  local holder = head()
  while holder do
    local entry = redis.call('HGET', waiters, holder)
    local r = entry and parse(entry)
    if not r or not alive(r.session) then
      left = left + leave(holder)
    elseif fits(r) then
      local given = own(holder, string.match(entry, '^%d+ %d+ (.*)$'))
      left = left + leave(holder)
      redis.call(PUBLISH, r.session, 'granted ' .. holder .. ' ' .. given)
      served = true
      if r.mode == 'exclusive' then break end -- nobody fits beside it
    elseif served or not reap() then
      break
    end
    holder = head()
  end
  if left == 0 then return end
  for _, holder in ipairs(redis.call('ZRANGE', queue, math.max(FRONT - left, 0), FRONT - 1)) do
    local entry = redis.call('HGET', waiters, holder)
    if entry then redis.call(PUBLISH, parse(entry).session, 'front ' .. holder) end
  end
end

-- withdraw takes back what a holder asked for, whatever has become of it, hands on
-- the lock, and says whether the holder owned it. A request that may still be on
-- its way here is refused for so many milliseconds.
local function withdraw(holder, session, barred)
  local held = redis.call('HDEL', owners, holder)
  local place = held == 0 and redis.call('ZRANK', queue, holder)
  if place then leave(holder) end
  if tonumber(barred) > 0 then
    redis.call('SET', session .. ':withdrawn:' .. holder, '1', 'PX', barred)
  end
  -- A server that is full refuses to make an owner, but giving back must not fail
  -- for that: the head of the queue will see the error at its next check.
  pcall(settle, place and place < FRONT and 1 or 0)
  return held
end

-- somebody is any owner's entry, to tell who has the lock.
local function somebody()
  local one = redis.call('HRANDFIELD', owners, 1, 'WITHVALUES')
  return one[2] or ''
end
