package redislock_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/redistest"
	"github.com/portalocker/portalocker/internal/testproc"
	"github.com/portalocker/portalocker/redislock"
)

const secret = "open-sesame-4711"

// isTrouble fails unless an error is a clear one about the server at an address.
func isTrouble(t *testing.T, err error, addr, advice string) {
	t.Helper()
	is(t, err, redislock.ErrUnavailable, portalocker.ErrLock)
	switch {
	case err == nil || errors.Is(err, portalocker.ErrAlreadyLocked) || errors.Is(err, redislock.ErrLost):
		t.Errorf("%v: a server in trouble says nothing of the lock", err)
	case !strings.Contains(err.Error(), addr) || !strings.Contains(err.Error(), advice):
		t.Errorf("%v: does not name %s, and what to do: %s", err, addr, advice)
	case strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "\n"):
		t.Errorf("%q shows a password, or is not one line", err.Error())
	}
}

func TestUnreachableAtStart(t *testing.T) {
	t.Parallel()
	addr := redistest.Nobody(t)
	c := newClient(t, addr)
	for range 3 {
		_, err := c.NewLock("x", forever).Acquire(t.Context())
		isTrouble(t, err, addr, "is it running")
		if !strings.Contains(err.Error(), "refused") {
			t.Errorf("%v hides that the connection was refused", err)
		}
	}
	_, err := c.Status(t.Context(), "x")
	isTrouble(t, err, addr, "is it running")
	_, err = c.List(t.Context())
	isTrouble(t, err, addr, "is it running")
	_, err = c.Check(t.Context())
	isTrouble(t, err, addr, "is it running")
}

// TestSilentAtStart: a server that takes connections and says nothing holds up
// nobody beyond a timeout or the end of a context.
func TestSilentAtStart(t *testing.T) {
	t.Parallel()
	proxy := redistest.NewProxy(t, "127.0.0.1:1")
	proxy.HalfOpen()
	for name, opts := range map[string][]redislock.Option{
		"long lease": {redislock.WithLeaseTTL(time.Hour)}, "default": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := redislock.New(newRedis(t, proxy.Addr()), opts...) // Close would wait for the answer
			t.Cleanup(func() { proxy.Cut(); must(t, c.Close()) })
			_, err := c.NewLock("x", redislock.WithTimeout(20*time.Millisecond)).Acquire(t.Context())
			isTrouble(t, err, proxy.Addr(), "has not answered yet")
			why := errors.New("why")
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(20*time.Millisecond, func() { cancel(why) })
			_, err = c.NewLock("x", forever).Acquire(ctx)
			isTrouble(t, err, proxy.Addr(), "has not answered yet")
			is(t, err, context.Canceled, why)
		})
	}
	t.Run("short lease", func(t *testing.T) {
		t.Parallel()
		c := newClient(t, proxy.Addr(), redislock.WithLeaseTTL(100*time.Millisecond))
		_, err := c.NewLock("x", forever).Acquire(context.Background())
		isTrouble(t, err, proxy.Addr(), "does not answer")
	})
}

// TestGone: the server dies while locks are held and waited for.
func TestGone(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	a, b := newClient(t, s.Addr()), newClient(t, s.Addr())
	held := acquire(t, a.NewLock("x"))
	same := queueUp(t, a, "x", a.NewLock("x"), forever, handOverOnly)
	other := queueUp(t, b, "x", b.NewLock("x"), forever, handOverOnly)
	s.Kill()
	isLost(t, held)
	for _, waiting := range []<-chan result{same, other} {
		isTrouble(t, get(t, waiting).err, s.Addr(), "is it running")
	}
	s.Restart() // empty
	testproc.Await(t, "locks work again", func() bool {
		l, err := a.NewLock("x").Acquire(t.Context())
		if err != nil {
			isTrouble(t, err, s.Addr(), "is it running") // go-redis tries again once a second only
			return false
		}
		defer release(t, l)
		if l.Fence() <= held.Fence() {
			t.Errorf("fence %d after %d", l.Fence(), held.Fence())
		}
		return true
	})
}

// TestGoneLeaseOnly: there the session outlives the server, but who waits is told
// what is the matter.
func TestGoneLeaseOnly(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := newClient(t, s.Addr(), redislock.WithLiveness(redislock.LeaseOnly), redislock.WithLeaseTTL(time.Hour))
	held := acquire(t, c.NewLock("x"))
	waiting := queueUp(t, c, "x", c.NewLock("x"), redislock.WithTimeout(2*time.Second))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	came := make(chan error, 1)
	go func() {
		_, err := c.NewLock("x", forever).Acquire(ctx)
		came <- err
	}()
	testproc.Await(t, "both wait", func() bool { return c.Answered() == 2 })
	s.Kill()
	isTrouble(t, get(t, waiting).err, s.Addr(), "is it running")
	cancel()
	err := get(t, came)
	isTrouble(t, err, s.Addr(), "is it running")
	is(t, err, context.Canceled)
	s.Restart()
	get(t, held.Lost()) // long before the lease must be renewed
	is(t, held.Err(), redislock.ErrLost)
}

// TestSilentInMidWait: the server stops for longer than a lease. What is held is
// lost, and who waits is told.
func TestSilentInMidWait(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	const short = 600 * time.Millisecond
	c := newClient(t, s.Addr(), redislock.WithLeaseTTL(short))
	held := acquire(t, c.NewLock("x"))
	waiting := queueUp(t, c, "x", c.NewLock("x"), forever)
	s.Stop()
	isLost(t, held)
	isTrouble(t, get(t, waiting).err, s.Addr(), "does not answer")
	s.Continue()
	testproc.Await(t, "locks work again", func() bool {
		l, err := c.NewLock("x").Acquire(t.Context())
		if err == nil {
			release(t, l)
		}
		return err == nil
	})
}

// TestFull: a server without memory gives no new lock, and takes back those it gave.
func TestFull(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--maxmemory-policy noeviction")
	a, b := newClient(t, s.Addr()), newClient(t, s.Addr())
	held := acquire(t, a.NewLock("x"))
	waiting := queueUp(t, b, "x", b.NewLock("x"), forever, handOverOnly)
	s.Do("CONFIG", "SET", "maxmemory", "1")
	_, err := a.NewLock("y").Acquire(t.Context())
	isTrouble(t, err, s.Addr(), "raise maxmemory")
	_, err = newClient(t, s.Addr()).NewLock("y").Acquire(t.Context()) // without a session yet
	isTrouble(t, err, s.Addr(), "raise maxmemory")
	if held.Err() != nil {
		t.Error(held.Err())
	}
	release(t, held)
	s.Do("CONFIG", "SET", "maxmemory", "0")
	release(t, leaseOf(t, waiting))
	release(t, acquire(t, a.NewLock("y"), tryOnce))
}

func TestReplica(t *testing.T) {
	t.Parallel()
	master := redistest.Start(t)
	s := redistest.Start(t, "--replicaof", strings.ReplaceAll(master.Addr(), ":", " "))
	_, err := newClient(t, s.Addr()).NewLock("x").Acquire(t.Context())
	isTrouble(t, err, s.Addr(), "connect to the master")
	master.Kill()
	_, err = newClient(t, s.Addr()).NewLock("x").Acquire(t.Context())
	isTrouble(t, err, s.Addr(), "connect to the master")
}

// TestRefusals: servers that answer with an error, from the start or later.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ reply, advice string }{
		{"-LOADING Redis is loading the dataset in memory", "try again when it has done so"},
		{"-NOAUTH Authentication required.", "give the client one"},
		{"-WRONGPASS invalid username-password pair or user is disabled.", "refuses the user or the password"},
		{"-MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.", "look into its log"},
		{"-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", "SCRIPT KILL"},
		{"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", "connect to the master"},
		{"-NOREPLICAS Not enough good replicas to write.", "min-replicas-to-write"},
		{"-CLUSTERDOWN The cluster is down", "CLUSTER INFO"},
		{"-MOVED 3999 127.0.0.1:6381", "NewClusterClient"},
		{"-ERR max number of clients reached", "raise maxclients"},
		{"-DENIED Redis is running in protected mode", "protected mode"},
	} {
		at := redistest.NewErrorServer(t, c.reply)
		_, err := newClient(t, at.Addr()).NewLock("x", forever).Acquire(t.Context())
		isTrouble(t, err, at.Addr(), c.advice)
		all := redistest.NewErrorServer(t, c.reply, "nothing")
		_, err = newClient(t, all.Addr()).NewLock("x", forever).Acquire(t.Context())
		isTrouble(t, err, all.Addr(), c.advice)
	}
}

func TestPassword(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--requirepass", secret)
	for password, advice := range map[string]string{"": "asks for a password", secret + "x": "refuses the user or the password"} {
		rdb := redis.NewClient(&redis.Options{Addr: s.Addr(), Password: password})
		t.Cleanup(func() { must(t, rdb.Close()) })
		c := newClientOf(t, rdb)
		_, err := c.NewLock("x").Acquire(t.Context())
		isTrouble(t, err, s.Addr(), advice)
		_, err = c.Status(t.Context(), "x")
		isTrouble(t, err, s.Addr(), advice)
	}
	release(t, acquire(t, newClientOf(t, s.Client()).NewLock("x")))
}

// TestACL: what a user may not do is named, and does not cost that user's other
// locks.
func TestACL(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	client := func(name string, rules ...any) *redislock.Client {
		s.Do(append([]any{"ACL", "SETUSER", name, "on", ">" + secret}, rules...)...)
		rdb := redis.NewClient(&redis.Options{Addr: s.Addr(), Username: name, Password: secret})
		t.Cleanup(func() { must(t, rdb.Close()) })
		return newClientOf(t, rdb)
	}
	for name, rules := range map[string][]any{
		"noscripts":  {"~*", "&*", "+@all", "-@scripting"},
		"nochannels": {"~*", "resetchannels", "+@all"},
		"nokeys":     {"resetkeys", "&*", "+@all"},
		"nopubsub":   {"~*", "&*", "+@all", "-pubsub"},
		"nosub":      {"~*", "&*", "+@all", "-subscribe"},
	} {
		c := client(name, rules...)
		_, err := c.NewLock("x").Acquire(t.Context())
		isTrouble(t, err, s.Addr(), "its ACL forbids that to this user")
		found, err := c.Check(t.Context())
		must(t, err)
		if len(found) == 0 || !found[0].Fatal || !strings.Contains(found[0].String(), "its ACL forbids that") {
			t.Errorf("%s: Check finds %v", name, found)
		}
	}
	few := client("few", "~portalocker:session:*", "~portalocker:{mine}:*", "&*", "+@all")
	held := acquire(t, few.NewLock("mine"))
	_, err := few.NewLock("theirs").Acquire(t.Context())
	isTrouble(t, err, s.Addr(), "its ACL forbids that to this user")
	release(t, held) // not lost
	// Without PUBLISH nobody can be told, but a release works, and who waits looks.
	mute := client("mute", "~*", "&*", "+@all", "-publish")
	held = acquire(t, mute.NewLock("x"))
	looking := queueUp(t, mute, "x", mute.NewLock("x"), forever)
	release(t, held)
	release(t, leaseOf(t, looking))
	enough := client("enough", "~portalocker:*", "&portalocker:*", "resetchannels", "&portalocker:*", "+@all")
	held = acquire(t, enough.NewLock("x"))
	next := queueUp(t, enough, "x", enough.NewLock("x"), forever, handOverOnly)
	release(t, held)
	release(t, leaseOf(t, next))
}

// TestRecordsDeleted: a lease whose record is gone is noticed by the next renewal,
// and by a release at once; the others of the session stay.
func TestRecordsDeleted(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		rdb, c := newRedis(t, addr), newClient(t, addr, redislock.WithLeaseTTL(ttl))
		held, released, kept := acquire(t, c.NewLock("held")), acquire(t, c.NewLock("released")), acquire(t, c.NewLock("kept"))
		must(t, rdb.Del(t.Context(), redislock.KeysOf("held")[0], redislock.KeysOf("released")[0]).Err())
		err := released.Release(t.Context())
		is(t, err, redislock.ErrLost)
		if !strings.Contains(err.Error(), "maxmemory-policy") {
			t.Errorf("%v does not say what may have happened", err)
		}
		isLost(t, held)
		if kept.Err() != nil {
			t.Error(kept.Err())
		}
		must(t, rdb.FlushAll(t.Context()).Err())
		isLost(t, kept)
		release(t, acquire(t, c.NewLock("kept"), forever)) // by a new session
	})
}

// TestForeignType: somebody has put other data where a lock's records belong. That
// is no reason to lose the other locks.
func TestForeignType(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		rdb, c := newRedis(t, addr), newClient(t, addr)
		kept := acquire(t, c.NewLock("kept"))
		for i, key := range redislock.KeysOf("x") {
			must(t, rdb.Set(t.Context(), key, "v", 0).Err())
			if i == 3 {
				must(t, rdb.Del(t.Context(), key).Err())
				must(t, rdb.RPush(t.Context(), key, "v").Err())
			}
			_, err := c.NewLock("x").Acquire(t.Context())
			if err == nil || !strings.Contains(err.Error(), "WRONGTYPE") && i < 2 || !strings.Contains(err.Error(), addr) {
				if i != 2 { // nobody waits, so that one is not looked at
					t.Errorf("%s: %v", key, err)
				}
			}
			must(t, rdb.Del(t.Context(), redislock.KeysOf("x")...).Err())
		}
		release(t, kept)
	})
}

// TestMaxActiveConns: a limit of the user's client is kept to, without errors.
func TestMaxActiveConns(t *testing.T) {
	t.Parallel()
	proxy := redistest.NewProxy(t, redistest.Start(t).Addr())
	rdb := redis.NewClient(&redis.Options{Addr: proxy.Addr(), PoolSize: 4, MaxActiveConns: 4})
	t.Cleanup(func() { _ = rdb.Close() })
	c := newClientOf(t, rdb)
	proxy.Delay(10 * time.Millisecond)
	var work sync.WaitGroup
	for i := range 40 {
		work.Go(func() {
			for range 3 {
				l, err := c.NewLock(fmt.Sprint(i)).Acquire(context.Background())
				if err == nil {
					err = l.Release(context.Background())
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
}

// TestManyReleases: those that give back leave a connection to renew the lease.
func TestManyReleases(t *testing.T) {
	t.Parallel()
	proxy := redistest.NewProxy(t, redistest.Start(t).Addr())
	rdb := redis.NewClient(&redis.Options{Addr: proxy.Addr(), PoolSize: 2})
	t.Cleanup(func() { _ = rdb.Close() })
	c := newClientOf(t, rdb, redislock.WithLeaseTTL(3*time.Second))
	held := acquire(t, c.NewLock("held"))
	var leases []*redislock.Lease
	for i := range 100 {
		leases = append(leases, acquire(t, c.NewLock(fmt.Sprint(i))))
	}
	proxy.Delay(50 * time.Millisecond)
	var work sync.WaitGroup
	for _, l := range leases {
		work.Go(func() {
			if err := l.Release(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	must(t, held.Err())
}

// TestRenewEvery: what is held is refreshed before the server forgets it, however long
// a lease lasts.
func TestRenewEvery(t *testing.T) {
	for ttl := time.Second; ttl < 10_000*time.Hour; ttl *= 2 {
		if every := redislock.RenewEvery(ttl); every > ttl/3 || every > redislock.ForgetAfter/3 {
			t.Errorf("a lease of %v is renewed every %v", ttl, every)
		}
	}
}
