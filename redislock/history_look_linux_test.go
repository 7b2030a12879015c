package redislock_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// look is what the server has at one moment between from and to.
type look struct {
	from, to  int64
	locks     map[string]*lockLook
	sessions  map[string]sessionLook
	withdrawn map[string]bool // holders
	expiry    map[string]int64
}

type lockLook struct {
	owners  map[string]record
	queue   []string
	waiters map[string]record
	fence   int64
}

type record struct {
	fence         int64
	mode, session string
	limit, pid    int
}

// sessionLook is the lease in milliseconds, below 0 if there is none, and how many
// connections are subscribed.
type sessionLook struct{ ttl, subscribers int64 }

func (s sessionLook) alive() bool { return s.subscribers > 0 && s.ttl >= 0 }

// lookScript reads everything in one step.
var lookScript = redis.NewScript(`
local all, asked = {}, {}
local function say(...) all[#all + 1] = table.concat({...}, ' ') end
local function ask(session)
  if not asked[session] then
    asked[session] = true
    say('session', session, redis.call('PTTL', session), redis.call('PUBSUB', 'NUMSUB', session)[2])
  end
end
for _, name in ipairs(ARGV) do
  local p = 'portalocker:{' .. name .. '}:'
  for _, kind in ipairs({'owners', 'waiters'}) do
    local h = redis.call('HGETALL', p .. kind)
    for i = 1, #h, 2 do
      say(kind, name, h[i], h[i + 1])
      ask(string.match(h[i + 1], 'portalocker:session:%S+'))
    end
  end
  for _, holder in ipairs(redis.call('ZRANGE', p .. 'queue', 0, -1)) do say('queue', name, holder) end
  say('fence', name, redis.call('GET', p .. 'fence') or 0)
end
for _, key in ipairs(redis.call('KEYS', 'portalocker:*')) do
  local holder = string.match(key, ':withdrawn:(.*)$')
  if holder then
    say('withdrawn', holder)
  elseif string.find(key, 'portalocker:session:', 1, true) then
    ask(key)
  end
  say('expiry', key, redis.call('PTTL', key))
end
return all`)

// take asks the server.
func (w *watch) take(ctx context.Context) (*look, error) {
	l := &look{
		from: clock(), locks: map[string]*lockLook{}, sessions: map[string]sessionLook{},
		withdrawn: map[string]bool{}, expiry: map[string]int64{},
	}
	for _, name := range historyLocks {
		l.locks[name] = &lockLook{owners: map[string]record{}, waiters: map[string]record{}}
	}
	ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	lines, err := lookScript.Run(ctx, w.rdb, nil, toAny(historyLocks)...).StringSlice()
	if err != nil {
		return nil, err
	}
	l.to = clock()
	for _, line := range lines {
		l.add(strings.Fields(line))
	}
	return l, nil
}

func (l *look) add(f []string) {
	number := func(i int) int64 {
		n, err := strconv.ParseInt(f[i], 10, 64)
		if err != nil {
			panic(fmt.Sprintf("a look gave %q", f))
		}
		return n
	}
	switch f[0] {
	case "owners":
		l.locks[f[1]].owners[f[2]] = record{fence: number(3), mode: f[5], limit: int(number(6)), session: f[7], pid: int(number(8))}
	case "waiters":
		l.locks[f[1]].waiters[f[2]] = record{mode: f[5], limit: int(number(6)), session: f[7]}
	case "queue":
		l.locks[f[1]].queue = append(l.locks[f[1]].queue, f[2])
	case "fence":
		l.locks[f[1]].fence = number(2)
	case "session":
		l.sessions[f[1]] = sessionLook{ttl: number(2), subscribers: number(3)}
	case "withdrawn":
		l.withdrawn[f[1]] = true
	case "expiry":
		l.expiry[f[1]] = number(2)
	}
}

func toAny(all []string) (list []any) {
	for _, s := range all {
		list = append(list, s)
	}
	return list
}

// has says whether a holder owns the lock or waits for it.
func (k *lockLook) has(holder string) bool {
	_, owns := k.owners[holder]
	_, waits := k.waiters[holder]
	return owns || waits
}

func (k *lockLook) fits(r record) bool {
	for _, o := range k.owners {
		if r.mode == "exclusive" || o.mode != r.mode || r.limit > 0 && len(k.owners) >= r.limit {
			return false
		}
	}
	return true
}

// living lists the holders that own or wait, and are alive.
func (w *watch) living(l *look) (all []string) {
	for _, name := range historyLocks {
		k := l.locks[name]
		for _, r := range []map[string]record{k.owners, k.waiters} {
			for _, holder := range slices.Sorted(maps.Keys(r)) {
				if l.sessions[r[holder].session].alive() {
					all = append(all, name+": "+holder)
				}
			}
		}
	}
	return all
}
