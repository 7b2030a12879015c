package redislock_test

import (
	"testing"
	"time"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/redistest"
	"github.com/portalocker/portalocker/internal/testproc"
	"github.com/portalocker/portalocker/redislock"
)

// TestClose: everything is released at once, waits end, and nothing new begins.
func TestClose(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		rdb, other := newRedis(t, addr), newClient(t, addr)
		c := redislock.New(rdb)
		var held []*redislock.Lease
		for _, name := range []string{"a", "b", "c"} {
			held = append(held, acquire(t, c.NewLock(name)))
		}
		theirs := acquire(t, other.NewLock("theirs"))
		waiting := queueUp(t, c, "theirs", c.NewLock("theirs"), forever, handOverOnly)
		next := queueUp(t, other, "a", other.NewLock("a"), forever, handOverOnly)
		must(t, c.Close())
		must(t, c.Close())
		is(t, get(t, waiting).err, redislock.ErrClosed)
		if n, err := newRedis(t, addr).ZCard(t.Context(), redislock.KeysOf("theirs")[1]).Result(); n != 0 || err != nil {
			t.Errorf("%d still stand in the queue, %v", n, err)
		}
		for _, l := range held {
			if l.Err() == nil || l.Context().Err() == nil {
				t.Error("a lease outlived its client")
			}
			must(t, l.Release(t.Context()))
		}
		release(t, leaseOf(t, next)) // by hand-over, nobody looks
		for _, name := range []string{"b", "c"} {
			release(t, acquire(t, other.NewLock(name), tryOnce))
		}
		_, err := c.NewLock("a").Acquire(t.Context())
		is(t, err, redislock.ErrClosed)
		release(t, theirs)
		if s := status(t, other, "theirs"); s.Waiting+len(s.Owners) != 0 {
			t.Errorf("left behind: %+v", s)
		}
		must(t, rdb.Ping(t.Context()).Err()) // the user's client is the user's
	})
}

// TestCloseWhileAcquiring: a lock that is granted while the client closes is given
// back too.
func TestCloseWhileAcquiring(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		rdb, other := newRedis(t, addr), newClient(t, addr)
		for range 30 {
			c := redislock.New(newRedis(t, addr))
			came := make(chan result)
			go func() {
				for {
					l, err := c.NewLock("x").Acquire(t.Context())
					if err != nil {
						came <- result{l, err}
						return
					}
					_ = l.Release(t.Context())
				}
			}()
			testproc.Await(t, "it has begun", func() bool { return len(keysBut(t, rdb)) > 1 })
			must(t, c.Close())
			is(t, get(t, came).err, redislock.ErrClosed)
			release(t, acquire(t, other.NewLock("x"), tryOnce))
		}
		must(t, other.Close())
		if left := keysBut(t, rdb, fenceKey("x")); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	})
}

// TestCloseInFlight: the answer that grants the lock is on its way when the client
// closes. It comes too late, and nothing stays.
func TestCloseInFlight(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		rdb, proxy := newRedis(t, addr), redistest.NewProxy(t, addr)
		c := redislock.New(newRedis(t, proxy.Addr()))
		before := acquire(t, c.NewLock("x"))
		release(t, before)
		proxy.Delay(100 * time.Millisecond)
		came := make(chan result, 1)
		go func() {
			l, err := c.NewLock("x").Acquire(t.Context())
			came <- result{l, err}
		}()
		testproc.Await(t, "it is granted", func() bool {
			fence, err := rdb.Get(t.Context(), fenceKey("x")).Int64()
			must(t, err)
			return fence > before.Fence()
		})
		must(t, c.Close())
		if r := get(t, came); r.err != nil {
			is(t, r.err, redislock.ErrClosed)
		} else { // the machine was slow, and the answer came before
			is(t, r.lease.Err(), portalocker.ErrNotHeld)
		}
		if left := keysBut(t, rdb, fenceKey("x")); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	})
}
