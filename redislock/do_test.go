package redislock_test

import (
	"context"
	"errors"
	"testing"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/redislock"
)

func TestDo(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		c := newClient(t, addr)
		for _, l := range []portalocker.Locker{c.NewLock("x"), c.NewSemaphore("y", 1)} {
			ran := false
			must(t, l.Do(t.Context(), func(ctx context.Context) error {
				ran = true
				is(t, doOnce(t, c, l), portalocker.ErrAlreadyLocked)
				return ctx.Err()
			}))
			must(t, doOnce(t, c, l)) // it was given back
			if !ran {
				t.Error("Do did nothing")
			}
			mine := errors.New("mine")
			is(t, l.Do(t.Context(), func(context.Context) error { return mine }), mine)
			must(t, doOnce(t, c, l))
		}
	})
}

// doOnce acquires the lock of the same name without a wait, and releases it.
func doOnce(t *testing.T, c *redislock.Client, like portalocker.Locker) error {
	var l portalocker.Locker = c.NewLock("x", tryOnce)
	if _, ok := like.(*redislock.Semaphore); ok {
		l = c.NewSemaphore("y", 1, tryOnce)
	}
	return l.Do(t.Context(), func(context.Context) error { return nil })
}

func TestDoPanics(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		c := newClient(t, addr)
		func() {
			defer func() {
				if recover() != "oh" {
					t.Error("the panic did not come through")
				}
			}()
			_ = c.NewLock("x").Do(t.Context(), func(context.Context) error { panic("oh") })
		}()
		release(t, acquire(t, c.NewLock("x"), tryOnce))
	})
}

// TestDoLost: fn's context ends when the record of the lock is gone, and the error
// says so, beside that of fn.
func TestDoLost(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		c := newClient(t, addr, redislock.WithLeaseTTL(ttl))
		mine := errors.New("mine")
		err := c.NewLock("x").Do(t.Context(), func(ctx context.Context) error {
			must(t, newRedis(t, addr).Del(ctx, redislock.KeysOf("x")[0]).Err())
			get(t, ctx.Done())
			is(t, context.Cause(ctx), redislock.ErrLost)
			return mine
		})
		is(t, err, redislock.ErrLost, mine)
		err = c.NewLock("x").Do(t.Context(), func(ctx context.Context) error {
			must(t, newRedis(t, addr).Del(ctx, redislock.KeysOf("x")[0]).Err())
			return nil
		})
		is(t, err, redislock.ErrLost) // nothing but the release could tell
	})
}

// TestDoContext: fn's context ends with that of Do.
func TestDoContext(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		c := newClient(t, addr)
		why := errors.New("why")
		ctx, cancel := context.WithCancelCause(t.Context())
		err := c.NewLock("x").Do(ctx, func(inner context.Context) error {
			cancel(why)
			get(t, inner.Done())
			return context.Cause(inner)
		})
		is(t, err, why)
		release(t, acquire(t, c.NewLock("x"), tryOnce))
	})
}
