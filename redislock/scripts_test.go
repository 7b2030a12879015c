package redislock_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/portalocker/portalocker/internal/redistest"
	"github.com/portalocker/portalocker/internal/testproc"
	"github.com/portalocker/portalocker/redislock"
)

// fake is a session that a test makes by hand, to run the scripts in any order.
type fake struct {
	t    *testing.T
	rdb  *redis.Client
	key  string
	host string // as it stands in the records
}

// newFake subscribes and takes out a lease, as a Client does.
func newFake(t *testing.T, addr, id string) fake {
	t.Helper()
	f := fake{t, newRedis(t, addr), "portalocker:session:" + strings.ReplaceAll(id, " ", "-"), "host"}
	sub := f.rdb.Subscribe(t.Context(), f.key)
	t.Cleanup(func() { must(t, sub.Close()) })
	_, err := sub.Receive(t.Context())
	must(t, err)
	must(t, f.rdb.Set(t.Context(), f.key, "connection", time.Hour).Err())
	return f
}

// acquire runs the script of that name, for an exclusive lock called x.
func (f fake) acquire(holder, wait string) string {
	f.t.Helper()
	request := "exclusive 0 " + f.key + " 4711 " + f.host
	v, err := redislock.AcquireScript.Run(f.t.Context(), f.rdb, redislock.KeysOf("x"), "plain", holder, f.key, request, wait, "x").Slice()
	must(f.t, err)
	return fmt.Sprint(v[0])
}

func (f fake) withdraw(s *redis.Script, holder string, barred time.Duration) any {
	f.t.Helper()
	v, err := s.Run(f.t.Context(), f.rdb, redislock.KeysOf("x"), "plain", holder, f.key, barred.Milliseconds()).Result()
	must(f.t, err)
	return v
}

func (f fake) expect(what, got, want string) {
	f.t.Helper()
	if got != want {
		f.t.Errorf("%s: %s, not %s", what, got, want)
	}
}

// TestTryAmongTheDead: a single try gets a lock whose owner is dead, also if dead ones
// wait for it.
func TestTryAmongTheDead(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		dead, f := newFake(t, addr, "dead"), newFake(t, addr, "f")
		f.expect("owner", dead.acquire("h1", "wait"), "granted")
		f.expect("waiter", dead.acquire("h2", "wait"), "waiting")
		f.expect("while they live", f.acquire("h3", "try"), "locked")
		must(t, f.rdb.Del(t.Context(), dead.key).Err())
		f.expect("when they are dead", f.acquire("h4", "try"), "granted")
	})
}

// TestLateAcquire: a request that arrives after it was taken back gets nothing, be
// it the first, or a repetition that comes after the lock was held and released.
func TestLateAcquire(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		f := newFake(t, addr, "a")
		f.withdraw(redislock.CancelScript, "h1", time.Minute)
		f.expect("late", f.acquire("h1", "wait"), "withdrawn")
		f.expect("another holder", f.acquire("h2", "wait"), "granted")
		f.withdraw(redislock.ReleaseScript, "h2", time.Minute)
		f.expect("late repetition", f.acquire("h2", "try"), "withdrawn")
		f.expect("without a bar there would be a ghost", f.acquire("h3", "wait"), "granted")
		if left := keysBut(t, f.rdb, f.key, fenceKey("x"), redislock.KeysOf("x")[0], f.key+":withdrawn:h1", f.key+":withdrawn:h2"); len(left) > 0 {
			t.Errorf("keys %q", left)
		}
		for _, holder := range []string{"h1", "h2"} {
			if d := f.rdb.TTL(t.Context(), f.key+":withdrawn:"+holder).Val(); d <= 0 || d > time.Minute {
				t.Errorf("the bar of %s stays for %v", holder, d)
			}
		}
	})
}

// TestRepeated: each command may arrive twice.
func TestRepeated(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		f := newFake(t, addr, "a")
		f.expect("first", f.acquire("h1", "wait"), "granted")
		fence := f.rdb.Get(t.Context(), fenceKey("x")).Val()
		f.expect("again", f.acquire("h1", "wait"), "granted")
		if again := f.rdb.Get(t.Context(), fenceKey("x")).Val(); again != fence {
			t.Errorf("one grant has the fences %s and %s", fence, again)
		}
		for range 2 {
			f.expect("behind", f.acquire("h2", "wait"), "waiting")
			f.expect("last", f.acquire("h3", "wait"), "waiting")
		}
		if n := f.rdb.ZCard(t.Context(), redislock.KeysOf("x")[1]).Val(); n != 2 {
			t.Errorf("%d wait", n)
		}
		if v := f.withdraw(redislock.ReleaseScript, "h1", 0); v != int64(1) {
			t.Errorf("the release says %v", v)
		}
		f.expect("handed over", f.acquire("h2", "wait"), "granted")
		if v := f.withdraw(redislock.ReleaseScript, "h1", 0); v != int64(0) {
			t.Errorf("the second release says %v", v)
		}
		f.expect("it took nothing", f.acquire("h3", "wait"), "waiting")
		for range 2 {
			f.withdraw(redislock.CancelScript, "h2", 0) // granted in this moment: passed on
		}
		f.expect("passed on", f.acquire("h3", "wait"), "granted")
	})
}

// TestSessionOver: a session without a subscriber, or without its lease, gets
// nothing, and cannot be revived.
func TestSessionOver(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		live, dead := newFake(t, addr, "a"), newFake(t, addr, "b")
		dead.expect("first", dead.acquire("h1", "wait"), "granted")
		dead.expect("second", dead.acquire("h2", "wait"), "waiting")
		must(t, dead.rdb.Del(t.Context(), dead.key).Err())
		dead.expect("without a lease", dead.acquire("h3", "wait"), "over")
		renew := func(f fake) int64 {
			v, err := redislock.RenewScript.Run(t.Context(), f.rdb, []string{f.key}, "plain", "connection", 60000, 86400).Int64Slice()
			must(t, err)
			return v[0]
		}
		if renew(dead) != 0 || renew(live) != 1 {
			t.Error("a renewal revived what was dead, or not what is alive")
		}
		live.expect("behind the dead, owner and waiter", live.acquire("h4", "wait"), "waiting")
		live.expect("at the first check", live.acquire("h4", "wait"), "granted")

		unheard := fake{t, live.rdb, "portalocker:session:c", "host"}
		must(t, live.rdb.Set(t.Context(), unheard.key, "connection", time.Hour).Err())
		unheard.expect("without a subscriber", unheard.acquire("h5", "wait"), "over")
		if renew(unheard) != 0 || live.rdb.Exists(t.Context(), unheard.key).Val() != 0 {
			t.Error("a session without a subscriber was renewed")
		}
		must(t, live.rdb.Set(t.Context(), unheard.key, "lease", time.Hour).Err())
		unheard.expect("by its lease alone", unheard.acquire("h6", "wait"), "waiting")
	})
}

// TestFencesGrow: whatever the server forgets, each fence is greater than the last.
func TestFencesGrow(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := newClient(t, s.Addr())
	last := int64(0)
	turn := func(after string) {
		t.Helper()
		var l *redislock.Lease
		testproc.Await(t, "locks work "+after, func() bool {
			var err error
			l, err = c.NewLock("x").Acquire(t.Context())
			return err == nil
		})
		if l.Fence() <= last {
			t.Errorf("after %s: fence %d after %d", after, l.Fence(), last)
		}
		last = l.Fence()
		_ = l.Release(t.Context()) // the lease may have ended in the meantime
	}
	for range 50 {
		turn("a release")
	}
	for range 5 {
		s.Do("FLUSHALL")
		turn("FLUSHALL")
		s.Do("DEL", fenceKey("x"))
		turn("an eviction")
		s.Restart()
		turn("a restart without data")
	}
}

// TestClockGoesBack: the last fence counts then.
func TestClockGoesBack(t *testing.T) {
	t.Parallel()
	s := miniredis.RunT(t)
	f := newFake(t, s.Addr(), "a")
	last := int64(0)
	for i, now := range []time.Time{time.Unix(2e9, 0), time.Unix(1e9, 0), time.Unix(1e9, 0), time.Unix(3e9, 0), time.Unix(0, 0)} {
		s.SetTime(now)
		holder := fmt.Sprint("h", i)
		f.expect("turn", f.acquire(holder, "wait"), "granted")
		fence, err := f.rdb.Get(context.Background(), fenceKey("x")).Int64()
		must(t, err)
		if fence <= last || fence < now.UnixMicro() {
			t.Errorf("at %v: fence %d after %d", now, fence, last)
		}
		last = fence
		f.withdraw(redislock.ReleaseScript, holder, 0)
	}
}

// TestForgotten: nothing on the server is for ever.
func TestForgotten(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		c, rdb := newClient(t, addr), newRedis(t, addr)
		held := acquire(t, c.NewLock("x"))
		waiting := queueUp(t, c, "x", c.NewLock("x"), forever, handOverOnly)
		keys := keysBut(t, rdb)
		if len(keys) != 5 {
			t.Errorf("keys %q", keys)
		}
		for _, key := range keys {
			if d := rdb.TTL(t.Context(), key).Val(); d <= 0 || d > 24*time.Hour {
				t.Errorf("%s stays for %v", key, d)
			}
		}
		release(t, held)
		release(t, leaseOf(t, waiting))
		if left := keysBut(t, rdb, fenceKey("x")); len(left) != 1 {
			t.Errorf("keys %q beside the session", left)
		}
	})
}

// TestIdleSession: a session that nobody uses is closed, and the next lock opens
// another one. A lock that is held keeps it.
func TestIdleSession(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		rdb := newRedis(t, addr)
		c := newClient(t, addr, redislock.WithLeaseTTL(ttl), redislock.WithIdleAfter(time.Millisecond))
		for range 2 {
			release(t, acquire(t, c.NewLock("x")))
			testproc.Await(t, "the session is closed", func() bool {
				channels, err := rdb.PubSubChannels(t.Context(), "*").Result()
				must(t, err)
				return len(channels) == 0 && len(keysBut(t, rdb, fenceKey("x"))) == 0
			})
		}
	})
}
