package redislock_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/redislock"
)

// TestSemaphoreUnderLoad: many take permits from many clients, and never are there
// more holders than permits.
func TestSemaphoreUnderLoad(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		const clients, each, turns, permits = 6, 4, 15, 3
		var holders, most atomic.Int64
		var all sync.WaitGroup
		for range clients {
			s := newClient(t, addr).NewSemaphore("s", permits, forever)
			for range each {
				all.Go(func() {
					for range turns {
						if err := s.Do(t.Context(), func(context.Context) error {
							n := holders.Add(1)
							defer holders.Add(-1)
							time.Sleep(time.Millisecond) // the work
							for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
							}
							return nil
						}); err != nil {
							t.Error(err)
						}
					}
				})
			}
		}
		all.Wait()
		if most.Load() > permits {
			t.Errorf("%d held %d permits", most.Load(), permits)
		}
		if most.Load() < 2 {
			t.Errorf("never were there two together")
		}
	})
}

// TestMixedPermits: each is let in while there are fewer holders than its own
// number.
func TestMixedPermits(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		c := newClient(t, addr)
		narrow, wide := c.NewSemaphore("s", 1), c.NewSemaphore("s", 3)
		first := acquire(t, wide, tryOnce)
		_, err := narrow.Acquire(t.Context(), tryOnce)
		is(t, err, portalocker.ErrAlreadyLocked)
		second, third := acquire(t, wide, tryOnce), acquire(t, wide, tryOnce)
		_, err = wide.Acquire(t.Context(), tryOnce)
		is(t, err, portalocker.ErrAlreadyLocked)
		for _, l := range []locker{c.NewLock("s"), c.NewLock("s", redislock.WithShared())} {
			_, err = l.Acquire(t.Context(), tryOnce)
			is(t, err, portalocker.ErrAlreadyLocked)
		}
		release(t, first)
		release(t, second)
		_, err = narrow.Acquire(t.Context(), tryOnce)
		is(t, err, portalocker.ErrAlreadyLocked)
		release(t, third)
		release(t, acquire(t, narrow, tryOnce))
	})
}

// TestPermitsInTurn: a narrow one at the head of the queue keeps the wide ones
// behind it waiting, so that it gets its turn.
func TestPermitsInTurn(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		c := newClient(t, addr)
		narrow, wide := c.NewSemaphore("s", 1), c.NewSemaphore("s", 3)
		held := acquire(t, wide)
		next := queueUp(t, c, "s", narrow, forever, handOverOnly)
		last := queueUp(t, c, "s", wide, forever, handOverOnly)
		if n := len(status(t, c, "s").Owners); n != 1 {
			t.Errorf("%d hold it", n)
		}
		release(t, held)
		first := leaseOf(t, next)
		if s := status(t, c, "s"); s.Waiting != 0 || len(s.Owners) != 2 {
			t.Errorf("the wide one may hold beside the narrow one: %+v", s)
		}
		second := leaseOf(t, last)
		release(t, first)
		release(t, second)
	})
}
