package redislock_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// fault is something that was done to a process, to all (0), or to a lock.
type fault struct {
	kind     string
	process  int
	lock     string
	session  string // where only one is meant
	from, to int64  // before and after it was done
	severs   bool   // the server may end holds of which the holders cannot know yet
}

// dealt is how often each fault comes in a deck. The deck is shuffled, and dealt
// again when it is empty, so that a run of some seconds has each of them.
var dealt = map[string]int{
	"kill":         2, // SIGKILL to a process; another one comes in its place
	"pause":        1, // SIGSTOP, for less than the TTL
	"long pause":   3, // SIGSTOP, for longer
	"close":        2, // CLIENT KILL of the connection of a session
	"close all":    1, // CLIENT KILL of all connections of a process
	"deaf":         3, // the same, and the process does not hear of it
	"cut":          2, // all connections of a process are reset
	"dead link":    2, // nothing passes any more, and nobody is told
	"delay":        4, // for a moment: what comes later arrives earlier, or what came is lost
	"slow":         2, // a slow link, which then goes dead
	"server pause": 1, // SIGSTOP to the server, mostly for less than the TTL
	"flush":        1, // FLUSHALL
	"restart":      1, // of the server, which is empty then
	"evict":        2, // the record of who owns a lock is deleted
	"evict lease":  3, // the lease of a session is deleted
	"fence ahead":  1, // as if the server's clock had been ahead, and was set back
}

// due is the end of a fault.
type due struct {
	at time.Time
	do func()
}

// injector does the faults. All of them happen on the goroutine of the test.
type injector struct {
	*round
	random *rand.Rand
	deck   []string
	ends   []due
	faults []fault
	late   time.Time // until then what was delayed may arrive
}

// run injects faults until the end of the time, or until a check has failed and the
// round is to stop there. Then it undoes what goes on.
func (in *injector) run(length time.Duration, stopEarly bool) {
	end := time.After(length)
	next := time.NewTimer(200 * time.Millisecond) // for the processes to get going
	defer next.Stop()
	first := in.v.first
	if !stopEarly {
		first = nil
	}
	for over := false; !over; {
		in.endSome(false)
		ends := in.nextEnd()
		select {
		case <-ends.C:
		case <-next.C:
			in.inject()
			next.Reset(time.Duration(40+in.random.IntN(200)) * time.Millisecond)
		case <-end:
			over = true
		case <-first:
			over = true
		}
		ends.Stop()
	}
	in.endSome(true)
	in.lose()
}

// lose does the last faults, of the kind that ends no session: commands are late, or
// lost. So what is left behind then is not cleared away with its session.
func (in *injector) lose() {
	for range 3 {
		for _, s := range in.slots {
			in.toWorker("delay", s)
		}
		for len(in.ends) > 0 {
			ends := in.nextEnd()
			<-ends.C
			in.endSome(false)
		}
	}
}

// nextEnd is a timer for when the next fault ends.
func (in *injector) nextEnd() *time.Timer {
	until := time.Hour
	for _, d := range in.ends {
		until = min(until, max(0, time.Until(d.at)))
	}
	return time.NewTimer(until)
}

// endSome ends the faults whose time has come, or all.
func (in *injector) endSome(all bool) {
	for len(in.ends) > 0 {
		i := slices.IndexFunc(in.ends, func(d due) bool { return all || !time.Now().Before(d.at) })
		if i < 0 {
			return
		}
		d := in.ends[i]
		in.ends = slices.Delete(in.ends, i, i+1)
		d.do()
	}
}

// do does a fault and takes note of it.
func (in *injector) do(f fault, do func()) {
	f.from = clock()
	do()
	f.to = clock()
	in.faults = append(in.faults, f)
}

// after ends a fault later.
func (in *injector) after(d time.Duration, do func()) {
	in.ends = append(in.ends, due{time.Now().Add(d), do})
}

// inject does the next fault.
func (in *injector) inject() {
	if len(in.deck) == 0 {
		for kind, n := range dealt {
			in.deck = append(in.deck, slices.Repeat([]string{kind}, n)...)
		}
		slices.Sort(in.deck) // a map has no order, and the seed must decide
		in.random.Shuffle(len(in.deck), func(i, j int) { in.deck[i], in.deck[j] = in.deck[j], in.deck[i] })
	}
	kind := in.deck[0]
	in.deck = in.deck[1:]
	switch kind {
	case "server pause", "flush", "restart", "evict", "fence ahead":
		in.toServer(kind)
	default:
		s := in.slots[in.random.IntN(len(in.slots))]
		if (kind == "deaf" || kind == "evict lease") && chance(in.random, 70) {
			s = in.slots[0] // the hermit; others learn of that as soon as they ask
		}
		in.toWorker(kind, s)
	}
}

func (in *injector) toWorker(kind string, s *slot) {
	f := fault{kind: kind, process: s.process}
	short := time.Duration(1 + in.random.Int64N(int64(in.ttl*2/3)))
	long := in.ttl + time.Duration(in.random.Int64N(int64(in.ttl)))
	user := userOf(s.number)
	switch kind {
	case "kill":
		in.do(f, s.worker.Kill)
		s.stopped = false
		in.start(s)
	case "pause", "long pause":
		if s.stopped {
			return
		}
		in.do(f, s.worker.Stop)
		s.stopped = true
		for_ := short
		if kind == "long pause" {
			for_ = long
		}
		in.after(for_, s.resume)
	case "close", "close all", "deaf":
		f.severs = true
		kill := []any{"CLIENT", "KILL", "USER", user, "TYPE", "pubsub"}
		switch kind {
		case "close all":
			kill = kill[:4]
		case "deaf":
			if s.stopped {
				return // it would not hear of this
			}
			if !in.tell("deaf", []*slot{s}) {
				return
			}
		}
		in.do(f, func() { in.server.Do(kill...) })
	case "evict lease":
		f.severs = true
		if f.session = in.watch.sessionOf(s.worker.Cmd.Process.Pid); f.session == "" {
			return
		}
		in.do(f, func() { in.server.Do("DEL", f.session) })
	default:
		in.toLink(f, s)
	}
}

func (in *injector) toLink(f fault, s *slot) {
	switch f.kind {
	case "cut":
		f.severs = true
		in.do(f, s.proxy.Cut)
	case "dead link":
		in.do(f, s.proxy.HalfOpen)
		in.after(time.Duration(in.random.Int64N(int64(2*in.ttl))), s.proxy.Heal)
	case "delay":
		// Longer than the client waits for an answer. What comes after the delay has
		// ended overtakes what is on its way.
		d := in.ttl/3 + time.Duration(in.random.Int64N(int64(in.ttl/3)))
		in.late = time.Now().Add(d + 200*time.Millisecond)
		in.do(f, func() { s.proxy.Delay(d) })
		loses := chance(in.random, 40)
		in.after(time.Duration(10+in.random.IntN(60))*time.Millisecond, func() {
			s.proxy.Delay(0)
			if loses {
				in.server.Do("CLIENT", "KILL", "USER", userOf(s.number), "TYPE", "normal")
			}
		})
	case "slow":
		// An answer takes less than the client waits for it.
		d := in.ttl/12 + time.Duration(in.random.Int64N(int64(in.ttl/24)))
		in.do(f, func() { s.proxy.Delay(d) })
		in.after(in.ttl, func() {
			in.do(fault{kind: "dead link", process: s.process}, s.proxy.HalfOpen)
			s.proxy.Delay(0)
			in.after(in.ttl, s.proxy.Heal)
		})
	}
}

func (in *injector) toServer(kind string) {
	f := fault{kind: kind, severs: true}
	switch kind {
	case "server pause":
		f.severs = false
		d := time.Duration(in.random.Int64N(int64(in.ttl * 3 / 2)))
		in.do(f, func() {
			in.server.Stop()
			time.Sleep(d)
			in.server.Continue()
		})
	case "flush":
		if in.ahead() {
			return
		}
		in.do(f, func() { in.watch.change(true, func() { in.server.Do("FLUSHALL") }) })
	case "restart":
		if in.ahead() {
			return
		}
		in.watch.change(true, func() {
			in.do(f, in.server.Kill)
			in.server.Restart()
		})
	case "evict":
		// A request that arrives only now would make the record again.
		if time.Now().Before(in.late) {
			return
		}
		f.lock = historyLocks[in.random.IntN(len(historyLocks))]
		if chance(in.random, 60) {
			f.lock = historyLocks[len(historyLocks)-1]
		}
		in.do(f, func() {
			in.watch.change(false, func() {
				in.server.Do("DEL", "portalocker:{"+f.lock+"}:owners")
				in.watch.loosen(f.lock)
			})
		})
	case "fence ahead":
		f.severs = false
		ahead := int64(300_000 + in.random.IntN(1_000_000))
		in.do(f, func() {
			for _, name := range historyLocks {
				in.server.Do("EVAL", aheadScript, 1, "portalocker:{"+name+"}:fence", ahead)
			}
		})
	}
}

// aheadScript sets a fence so many microseconds before the clock.
const aheadScript = `
local t = redis.call('TIME')
local last = tonumber(redis.call('GET', KEYS[1]) or 0)
local now = tonumber(t[1]) * 1000000 + tonumber(t[2]) + tonumber(ARGV[1])
return redis.call('SET', KEYS[1], string.format('%.0f', math.max(last, now)), 'EX', 86400)`

// ahead says whether a fence is before the server's clock. To lose it then would
// break what nobody promises: that fences grow though the clock was set back and the
// data are lost.
func (in *injector) ahead() bool {
	n, err := in.watch.rdb.Eval(context.Background(), `
local t, all = redis.call('TIME'), 0
for _, key in ipairs(KEYS) do all = math.max(all, tonumber(redis.call('GET', key) or 0)) end
return all > tonumber(t[1]) * 1000000 + tonumber(t[2]) and 1 or 0`, fenceKeys()).Int()
	return err != nil && err != redis.Nil || n == 1
}

func fenceKeys() (keys []string) {
	for _, name := range historyLocks {
		keys = append(keys, "portalocker:{"+name+"}:fence")
	}
	return keys
}
