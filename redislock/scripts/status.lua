-- status tells who owns the lock and who waits for it, the living only.
--
-- ARGV: sharded or not, how many waiters to list, the lock's name.
-- Returns the last fence or "", the owners (holder, entry, holder, entry ...), the
-- number of waiters, the first of them (in the same form), and the number of
-- Python's locks of that name.
reap()
settle(0)

local listed, left = {}, 0
for _, holder in ipairs(redis.call('ZRANGE', queue, 0, tonumber(ARGV[2]) - 1)) do
  local entry = redis.call('HGET', waiters, holder)
  if entry and alive(parse(entry).session) then
    listed[#listed + 1] = holder
    listed[#listed + 1] = entry
  else
    left = left + leave(holder)
  end
end
if left > 0 then settle(left) end -- who has come to the front is to know it
return {
  redis.call('GET', fence) or '',
  redis.call('HGETALL', owners),
  redis.call('ZCARD', queue),
  listed,
  tonumber(redis.call('PUBSUB', 'NUMSUB', ARGV[3])[2]),
}
