-- What the scripts know of locks and sessions. It stands before each that is about a
-- lock, and behind it comes what works on the queue, in queue.lua.
--
-- KEYS of a lock, all with the hash tag of its name:
--   owners   hash   holder -> "fence since mode limit session pid host"
--   queue    zset   holder, scored by the order of arrival
--   waiters  hash   holder -> "0 since mode limit session pid host"
--   fence    string the last fence that was given
-- Times are the server's clock in microseconds. The mode is exclusive, shared or
-- permit; the limit is how many may own the lock together, 0 for any number. The
-- session is a key, and also the channel that its process subscribes to.
--
-- The clock, and whom PUBSUB counts, differ from call to call: Redis replicates
-- the effects of a script, not the script, so that does no harm.
local owners, queue, waiters, fence = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

-- In a cluster channels are sharded: they live where the keys do.
local sharded = ARGV[1] == 'sharded'
local NUMSUB = sharded and 'SHARDNUMSUB' or 'NUMSUB'
local PUBLISH = sharded and 'SPUBLISH' or 'PUBLISH'

-- Names that nobody uses any more are forgotten after a day.
local FORGET = 86400

local function parse(entry)
  local last, since, mode, limit, session = string.match(entry, '^(%d+) (%d+) (%a+) (%d+) (%S+)')
  return {fence = last, since = since, mode = mode, limit = tonumber(limit), session = session}
end

-- clock is the time as text: its numbers are too long for the form that Lua gives
-- to a number by itself.
local function clock()
  local t = redis.call('TIME')
  return t[1] .. string.sub('00000' .. t[2], -6)
end

local asked = {}

-- A session is alive while its lease key is there and, unless it lives by the
-- lease alone, its process is subscribed to its channel.
local function alive(session)
  if asked[session] == nil then
    local liveness = redis.call('GET', session)
    asked[session] = liveness == 'lease' or (liveness == 'connection'
      and tonumber(redis.call('PUBSUB', NUMSUB, session)[2]) > 0)
  end
  return asked[session]
end

-- own makes a holder an owner, and returns its fence: above every fence before it,
-- and not below the clock, so that it grows even if Redis has forgotten the last.
local function own(holder, request)
  local now = clock()
  local given, last = now, redis.call('SET', fence, now, 'EX', FORGET, 'GET')
  if last and tonumber(last) >= tonumber(now) then
    given = string.format('%.0f', last + 1)
    redis.call('SET', fence, given, 'EX', FORGET)
  end
  redis.call('HSET', owners, holder, given .. ' ' .. now .. ' ' .. request)
  redis.call('EXPIRE', owners, FORGET)
  return given
end
