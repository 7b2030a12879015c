package redislock_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/redistest"
	"github.com/portalocker/portalocker/internal/testproc"
	"github.com/portalocker/portalocker/redislock"
)

// TestCancelAtRandom: two thousand that give up at a random moment, or get the lock
// and give it back, leave no key, no goroutine and no connection.
func TestCancelAtRandom(t *testing.T) { // not parallel, for the goroutines
	s := redistest.Start(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rdb := newRedis(t, s.Addr())
	must(t, rdb.Ping(t.Context()).Err())
	others := goleak.IgnoreCurrent()
	links := connections(t, rdb)

	const clients, each, pairs = 4, 5, 100
	var mu sync.Mutex
	var got, gaveUp int
	var all []*redislock.Client
	var work sync.WaitGroup
	for i := range clients {
		c := redislock.New(rdb)
		all = append(all, c)
		for k := range each {
			random := rand.New(rand.NewPCG(seed, uint64(i*each+k)))
			work.Go(func() {
				for range pairs {
					patient := random.Int64N(int64(8 * time.Millisecond))
					if random.IntN(10) == 0 { // so that some get it where everything is slow, too
						patient *= 20
					}
					ctx, cancel := context.WithTimeout(context.Background(), time.Duration(patient))
					opts := []redislock.LockOption{forever}
					if random.IntN(3) == 0 {
						opts = append(opts, redislock.WithShared())
					}
					l, err := c.NewLock("x").Acquire(ctx, opts...)
					mu.Lock()
					switch {
					case err == nil:
						got++
					case errors.Is(err, context.DeadlineExceeded):
						gaveUp++
					default:
						t.Error(err)
					}
					mu.Unlock()
					if err == nil {
						release(t, l)
					}
					cancel()
				}
			})
		}
	}
	work.Wait()
	t.Logf("%d got it, %d gave up", got, gaveUp)
	if got < 20 || gaveUp < 20 {
		t.Error("this was no test of both")
	}
	free := newClientOf(t, rdb)
	release(t, acquire(t, free.NewLock("x"))) // though all are still there
	testproc.Await(t, "nobody waits, and nobody holds", func() bool {
		s := status(t, free, "x")
		return s.Waiting == 0 && len(s.Owners) == 0
	})
	must(t, free.Close())
	for _, c := range all {
		must(t, c.Close())
	}
	left := keysBut(t, rdb, fenceKey("x"))
	for _, key := range left {
		if !strings.Contains(key, ":withdrawn:") || rdb.PTTL(t.Context(), key).Val() <= 0 {
			t.Errorf("left behind: %q", key)
		}
	}
	if d := rdb.TTL(t.Context(), fenceKey("x")).Val(); d <= 0 {
		t.Errorf("the fence stays for ever: %v", d)
	}
	testproc.Await(t, "the connections are closed", func() bool { return connections(t, rdb) <= links })
	if err := goleak.Find(others); err != nil {
		t.Error(err)
	}
}

func connections(t *testing.T, rdb *redis.Client) int {
	t.Helper()
	list, err := rdb.ClientList(context.Background()).Result()
	must(t, err)
	return strings.Count(list, "\n")
}

// TestCancelInFlight: the context ends while the request is on its way. The caller
// has not to wait for the answer, and what the server grants is given back.
func TestCancelInFlight(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	proxy := redistest.NewProxy(t, s.Addr())
	c, other := newClient(t, proxy.Addr()), newClient(t, s.Addr())
	before := acquire(t, c.NewLock("x")) // the session is there
	release(t, before)
	rdb := newRedis(t, s.Addr())
	// The request has to be on its way when the context ends, and the answer must not be
	// there, also where the scheduler lets them wait.
	proxy.Delay(2 * time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Second, cancel)
	_, err := c.NewLock("x").Acquire(ctx)
	is(t, err, context.Canceled, redislock.ErrUnavailable) // nobody has said that it is locked
	testproc.Await(t, "it is granted after all", func() bool {
		fence, err := rdb.Get(t.Context(), fenceKey("x")).Int64()
		must(t, err)
		return fence > before.Fence()
	})
	proxy.Delay(0)
	next := acquire(t, other.NewLock("x"), forever, handOverOnly) // it is handed over
	if n := len(status(t, other, "x").Owners); n != 1 {
		t.Errorf("%d hold it", n)
	}
	release(t, next)
}

// TestLateArrival: the answer to the request is not had in time, so that it is taken
// back; then the request arrives after all.
func TestLateArrival(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	proxy := redistest.NewProxy(t, s.Addr())
	c, rdb := newClient(t, proxy.Addr(), redislock.WithLeaseTTL(2*ttl)), newRedis(t, s.Addr())
	release(t, acquire(t, c.NewLock("x")))
	arrived := calls(t, rdb, "exists") // of which only the acquire script has one
	proxy.Delay(ttl)
	ctx, cancel := context.WithTimeout(t.Context(), ttl/3) // the request is on its way by then
	defer cancel()
	_, err := c.NewLock("x").Acquire(ctx)
	is(t, err, context.DeadlineExceeded, redislock.ErrUnavailable)
	proxy.Delay(0)
	testproc.Await(t, "the request arrives", func() bool { return calls(t, rdb, "exists") > arrived })
	if n := rdb.HLen(t.Context(), redislock.KeysOf("x")[0]).Val(); n != 0 {
		t.Error("it was granted to one who has gone")
	}
}

// TestCancelLinkLost: the answer to the taking back cannot be had either. Then the
// session ends, so that nobody is granted a lock that nobody holds.
func TestCancelLinkLost(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	proxy := redistest.NewProxy(t, s.Addr())
	c, other := newClient(t, proxy.Addr(), redislock.WithLeaseTTL(ttl)), newClient(t, s.Addr())
	held := acquire(t, other.NewLock("x"))
	kept := acquire(t, c.NewLock("kept"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	came := make(chan error, 1)
	go func() {
		_, err := c.NewLock("x", forever, handOverOnly).Acquire(ctx)
		came <- err
	}()
	testproc.Await(t, "it waits", func() bool { return c.Answered() == 1 })
	proxy.HalfOpen()
	cancel()
	err := get(t, came)
	is(t, err, portalocker.ErrAlreadyLocked, context.Canceled)
	release(t, held)                                    // to one who is not there
	release(t, acquire(t, other.NewLock("x"), forever)) // until its lease has run out
	isLost(t, kept)
}

// TestTimeoutInFlight: the time is up while a check is on its way. The lock is
// locked then; the server is well.
func TestTimeoutInFlight(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	proxy := redistest.NewProxy(t, s.Addr())
	c, other := newClient(t, proxy.Addr()), newClient(t, s.Addr())
	held := acquire(t, other.NewLock("x"))
	release(t, acquire(t, c.NewLock("y")))
	proxy.Delay(40 * time.Millisecond)
	for _, ctx := range []context.Context{context.Background(), t.Context()} {
		_, err := c.NewLock("x", redislock.WithTimeout(700*time.Millisecond), redislock.WithCheckInterval(time.Millisecond)).Acquire(ctx)
		is(t, err, portalocker.ErrAlreadyLocked)
		if errors.Is(err, redislock.ErrUnavailable) {
			t.Error(err)
		}
	}
	testproc.Await(t, "those are gone", func() bool { return c.Answered() == 0 }) // they are taken back in the background
	came := make(chan error, 1)
	go func() {
		_, err := c.NewLock("x", redislock.WithTimeout(2*time.Second), redislock.WithCheckInterval(time.Millisecond)).Acquire(context.Background())
		came <- err
	}()
	testproc.Await(t, "it waits", func() bool { return c.Answered() == 1 })
	proxy.HalfOpen() // the server has longer than the timeout for its answer
	is(t, get(t, came), portalocker.ErrAlreadyLocked)
	proxy.Cut() // so that Close need not wait for an answer
	release(t, held)
}
