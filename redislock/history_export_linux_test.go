package redislock

import (
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Record tells what the server knows a lease by: its holder and its session.
func (l *Lease) Record() (holder, session string) { return l.holder, l.session.key }

// Mutation is a way to break one rule of the scripts, for the tests of the tests.
type Mutation struct {
	Name string
	// Equivalent says why no check can find it; empty for one that must be found.
	Equivalent string
	file       string
	old, new   string
}

// Mutations are the rules of the scripts, each broken in turn.
var Mutations = []Mutation{
	// Who may own a lock together.
	{Name: "fits-always", file: "queue", old: "local function fits(r)\n", new: "local function fits(r)\n  do return true end\n"},
	{Name: "permits-one-more", file: "queue", old: "n >= r.limit", new: "n > r.limit"},
	{Name: "permits-one-less", file: "queue", old: "n >= r.limit", new: "n >= math.max(1, r.limit - 1)"},
	{Name: "modes-mix", file: "queue", old: "  return parse(redis.call('HRANDFIELD', owners, 1, 'WITHVALUES')[2]).mode == r.mode", new: "  return true"},
	{Name: "writers-join-a-writer", file: "queue", old: "r.mode == 'exclusive' or ", new: "r.mode == 'exclusive' and n > 1 or "},

	// Who is alive.
	{Name: "alive-always", file: "records", old: "local function alive(session)\n", new: "local function alive(session)\n  do return true end\n"},
	{Name: "alive-never", file: "records", old: "local function alive(session)\n", new: "local function alive(session)\n  do return false end\n"},
	{Name: "alive-by-lease-only", file: "records", old: "\n      and tonumber(redis.call('PUBSUB', NUMSUB, session)[2]) > 0", new: ""},
	{Name: "alive-by-connection-only", file: "records", old: "redis.call('GET', session)", new: "'connection'"},
	{Name: "reap-the-living", file: "queue", old: "    if not alive(parse(all[i + 1]).session)", new: "    if alive(parse(all[i + 1]).session)"},
	{Name: "reap-everybody", file: "queue", old: "    if not alive(parse(all[i + 1]).session)", new: "    if true"},
	{Name: "reap-nobody", file: "queue", old: "      redis.call('HDEL', owners, all[i])\n      found = true\n", new: ""},
	{Name: "acquire-by-the-dead", file: "acquire", old: "if not alive(session) then return {'over'} end\n", new: ""},
	{Name: "settle-serves-the-dead", file: "queue", old: "if not r or not alive(r.session) then", new: "if not r then"},
	{Name: "settle-does-not-reap", file: "queue", old: "elseif served or not reap() then", new: "else"},

	{Name: "free-beside-owners", file: "acquire_free", old: "redis.call('EXISTS', owners, queue, withdrawn)", new: "redis.call('EXISTS', queue, withdrawn)"},

	// Order of arrival.
	{Name: "free-beside-waiters", file: "acquire_free", old: "redis.call('EXISTS', owners, queue, withdrawn)", new: "redis.call('EXISTS', owners, withdrawn)"},
	{Name: "newcomers-barge", file: "acquire", old: "if not first and (fits(r)", new: "if (fits(r)"},
	{Name: "tries-barge", file: "acquire", old: "  first = head()\nend\n", new: "  first = nil\nend\n"},
	{Name: "newcomers-queue-before", file: "acquire", old: "tonumber(last or 0) + 1", new: "tonumber(last or 0) - 1"},
	{Name: "last-first", file: "queue", old: "redis.call('ZRANGE', queue, 0, 0)[1]", new: "redis.call('ZRANGE', queue, -1, -1)[1]"},
	{Name: "asking-again-queues-again", file: "acquire", old: "if first and redis.call('ZSCORE', queue, holder) then", new: "if false then"},

	// Grants.
	{Name: "settle-grants-two", file: "queue", old: "elseif fits(r) then", new: "elseif fits(r) or r.mode == 'exclusive' then"},
	{Name: "settle-grants-one-reader", file: "queue", old: "      served = true\n", new: "      do break end\n"},
	{Name: "granted-stays-queued", file: "queue", old: "      left = left + leave(holder)\n      redis.call(PUBLISH", new: "      if r.mode ~= 'exclusive' then left = left + leave(holder) end\n      redis.call(PUBLISH"},
	{Name: "granted-stays-waiter", file: "queue", old: "  redis.call('HDEL', waiters, holder)\n", new: ""},
	{Name: "granted-without-a-word", file: "queue", old: "      redis.call(PUBLISH, r.session, 'granted ' .. holder .. ' ' .. given)\n", new: ""},
	{Name: "asking-again-is-not-idempotent", file: "acquire", old: "if entry then return {'granted', parse(entry).fence} end\nif not alive", new: "if not alive"},

	// Fences.
	{Name: "fence-is-the-clock", file: "records", old: "if last and tonumber(last) >= tonumber(now) then", new: "if false then"},
	{Name: "fence-is-a-counter", file: "records", old: "local given, last = now, redis.call('SET', fence, now, 'EX', FORGET, 'GET')", new: "local given, last = string.format('%d', redis.call('INCR', fence)), nil"},
	{Name: "fence-may-repeat", file: "records", old: "string.format('%.0f', last + 1)", new: "last"},
	{Name: "fence-is-not-kept", file: "records", old: "local given, last = now, redis.call('SET', fence, now, 'EX', FORGET, 'GET')", new: "local given, last = now, redis.call('GET', fence)"},

	// Giving back.
	{Name: "release-of-anybody", file: "release", old: "return withdraw(ARGV[2], ARGV[3], ARGV[4])", new: "local held = withdraw(ARGV[2], ARGV[3], ARGV[4])\nredis.call('DEL', owners)\nreturn held"},
	{Name: "release-unwanted-by-those-who-wait", file: "release_unwanted", old: " and redis.call('EXISTS', queue) == 0", new: ""},
	{Name: "release-unwanted-of-the-uncertain", file: "release_unwanted", old: "ARGV[4] == '0' and ", new: ""},
	{Name: "free-for-the-dead", file: "acquire_free", old: " and alive(session)", new: ""},
	{Name: "release-of-nothing", file: "release", old: "return withdraw(ARGV[2], ARGV[3], ARGV[4])", new: "return 1"},
	{Name: "release-hands-nothing-on", file: "queue", old: "  pcall(settle, place and place < FRONT and 1 or 0)\n", new: ""},
	{Name: "cancel-keeps-the-owner", file: "cancel", old: "withdraw(ARGV[2], ARGV[3], ARGV[4])", new: "leave(ARGV[2])\npcall(settle, 0)"},
	{Name: "cancel-keeps-the-waiter", file: "queue", old: "  if place then leave(holder) end\n", new: ""},
	{Name: "withdrawn-is-ignored", file: "acquire", old: "if redis.call('EXISTS', withdrawn) == 1 then", new: "if false then"},
	{Name: "withdrawn-is-ignored-by-the-free", file: "acquire_free", old: "redis.call('EXISTS', owners, queue, withdrawn)", new: "redis.call('EXISTS', owners, queue)"},
	{Name: "withdrawn-is-not-kept", file: "queue", old: "  if tonumber(barred) > 0 then", new: "  if false then"},

	// Renewal.
	{Name: "renew-without-connection", file: "renew", old: "if ARGV[2] == 'connection' and", new: "if false and"},
	{Name: "renew-after-expiry", file: "renew", old: "if redis.call('GET', session) ~= ARGV[2] then return {0} end\n", new: ""},
	{Name: "renew-does-not-prolong", file: "renew", old: "redis.call('PEXPIRE', session, ARGV[3])\n", new: ""},
	{Name: "renew-misses-what-vanished", file: "renew", old: "if redis.call('HEXISTS', owners, ARGV[4 + i]) == 1 then", new: "if true then"},

	// What is forgotten.
	{Name: "owners-for-ever", file: "records", old: "  redis.call('EXPIRE', owners, FORGET)\n", new: ""},
	{Name: "queue-for-ever", file: "acquire", old: "  redis.call('EXPIRE', queue, FORGET)\n", new: ""},

	{
		Name: "front-without-a-word", file: "queue",
		old: "    if entry then redis.call(PUBLISH, parse(entry).session, 'front ' .. holder) end\n", new: "",
		Equivalent: "who has come to the front looks later for dead owners, and finds them all the same: it is a matter of time alone",
	},
}

// Break breaks a rule of the scripts in this process, once and for all. An empty
// name breaks none.
func Break(name string) error {
	if name == "" {
		return nil
	}
	i := slices.IndexFunc(Mutations, func(m Mutation) bool { return m.Name == name })
	if i < 0 {
		return fmt.Errorf("no mutation is called %q", name)
	}
	m := Mutations[i]
	broken := 0
	build := func(files []string) func() *redis.Script {
		var all strings.Builder
		for _, file := range files {
			source, err := sources.ReadFile("scripts/" + file + ".lua")
			if err != nil {
				panic(err) // they are embedded
			}
			text := string(source)
			if file == m.file && strings.Count(text, m.old) == 1 {
				text = strings.Replace(text, m.old, m.new, 1)
				broken++
			}
			all.WriteString(text + "\n")
		}
		script := redis.NewScript(all.String())
		return func() *redis.Script { return script }
	}
	acquireScript = build(acquireParts)
	cancelScript = build(cancelParts)
	releaseScript = build(releaseParts)
	renewScript = build(renewParts)
	statusScript = build(statusParts)
	if broken == 0 {
		return fmt.Errorf("mutation %s: its text does not stand once in scripts/%s.lua", m.Name, m.file)
	}
	return nil
}
