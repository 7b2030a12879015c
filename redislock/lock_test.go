package redislock_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
	"github.com/portalocker/portalocker/redislock"
)

var (
	_ portalocker.Locker = (*redislock.Lock)(nil)
	_ portalocker.Locker = (*redislock.Semaphore)(nil)
)

var tryOnce = redislock.WithTimeout(0)

func TestExclusive(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		a, b := newClient(t, addr), newClient(t, addr)
		held := acquire(t, a.NewLock("x"))
		if err := held.Err(); err != nil {
			t.Errorf("a held lock says %v", err)
		}
		for who, l := range map[string]*redislock.Lock{
			"another client": b.NewLock("x"), "the same client": a.NewLock("x"), "a reader": b.NewLock("x", redislock.WithShared()),
		} {
			_, err := l.Acquire(t.Context(), tryOnce)
			is(t, err, portalocker.ErrAlreadyLocked, portalocker.ErrLock)
			var lockErr *portalocker.LockError
			if !errors.As(err, &lockErr) || lockErr.HolderPID != itself() || lockErr.HolderHost != "" || lockErr.Waited != 0 {
				t.Errorf("%s: %v does not name the holder", who, err)
			}
		}
		if l := acquire(t, b.NewLock("y")); l.Fence() <= 0 {
			t.Errorf("the fence is %d", l.Fence())
		}
		release(t, held)
		is(t, held.Err(), portalocker.ErrNotHeld)
		again := acquire(t, b.NewLock("x"), tryOnce)
		if again.Fence() <= held.Fence() {
			t.Errorf("fence %d after %d", again.Fence(), held.Fence())
		}
	})
}

func TestShared(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		a, b := newClient(t, addr), newClient(t, addr)
		first := acquire(t, a.NewLock("x", redislock.WithShared()))
		second := acquire(t, b.NewLock("x"), redislock.WithShared(), tryOnce)
		if first.Fence() == second.Fence() {
			t.Errorf("two readers have the fence %d", first.Fence())
		}
		_, err := b.NewLock("x").Acquire(t.Context(), tryOnce)
		is(t, err, portalocker.ErrAlreadyLocked)
		_, err = b.NewSemaphore("x", 5).Acquire(t.Context(), tryOnce)
		is(t, err, portalocker.ErrAlreadyLocked)
		release(t, first)
		_, err = b.NewLock("x").Acquire(t.Context(), tryOnce)
		is(t, err, portalocker.ErrAlreadyLocked)
		release(t, second)
		release(t, acquire(t, a.NewLock("x"), tryOnce))
	})
}

// TestHolderElsewhere: a holder on another machine is named with it.
func TestHolderElsewhere(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		f := newFake(t, addr, "far away")
		f.host = "build%20server"
		f.expect("far away", f.acquire("h1", "wait"), "granted")
		_, err := newClient(t, addr).NewLock("x").Acquire(t.Context(), tryOnce)
		is(t, err, portalocker.ErrAlreadyLocked)
		if !strings.HasSuffix(err.Error(), "already locked by pid 4711 on build server") {
			t.Error(err)
		}
	})
}

// TestTimeout: the wait ends by the timeout, and nothing of it stays.
func TestTimeout(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		a, b := newClient(t, addr), newClient(t, addr)
		held := acquire(t, a.NewLock("x"))
		release(t, acquire(t, b.NewLock("y"))) // the session is there
		// Long enough for an answer on a busy machine: without one nobody has said that
		// the lock is locked.
		const timeout = time.Second
		for _, ctx := range []context.Context{context.Background(), t.Context()} {
			began := time.Now()
			_, err := b.NewLock("x", redislock.WithTimeout(timeout)).Acquire(ctx)
			is(t, err, portalocker.ErrAlreadyLocked)
			if waited := time.Since(began); waited < timeout {
				t.Errorf("gave up after %v", waited)
			}
			if !strings.Contains(err.Error(), ", gave up after ") {
				t.Errorf("%v does not say how long", err)
			}
		}
		_, err := b.NewLock("x", forever).Acquire(t.Context(), redislock.WithFailWhenLocked(true))
		is(t, err, portalocker.ErrAlreadyLocked)
		if s := status(t, a, "x"); s.Waiting != 0 || len(s.Owners) != 1 {
			t.Errorf("left behind: %+v", s)
		}
		release(t, held)
		release(t, acquire(t, b.NewLock("x"), tryOnce))
	})
}

// TestContextEnds: the error is the end of the context, its cause, and who has the
// lock.
func TestContextEnds(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		a, b := newClient(t, addr), newClient(t, addr)
		held := acquire(t, a.NewLock("x"))
		why := errors.New("the shop is closing")
		ctx, cancel := context.WithCancelCause(t.Context())
		came := make(chan error, 1)
		go func() {
			_, err := b.NewLock("x", forever).Acquire(ctx)
			came <- err
		}()
		testproc.Await(t, "it waits", func() bool { return b.Answered() == 1 })
		cancel(why)
		err := get(t, came)
		is(t, err, portalocker.ErrAlreadyLocked, context.Canceled, why)
		if s := status(t, a, "x"); s.Waiting != 0 {
			t.Errorf("it still waits: %+v", s)
		}
		_, err = b.NewLock("y").Acquire(ctx) // it has ended before
		is(t, err, context.Canceled, why)
		if errors.Is(err, portalocker.ErrAlreadyLocked) {
			t.Errorf("%v, though nobody has it", err)
		}
		release(t, held)
	})
}

func TestReleaseTwice(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		a, b := newClient(t, addr), newClient(t, addr)
		first := acquire(t, a.NewLock("x"))
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		must(t, first.Release(ended)) // it is given back all the same
		second := acquire(t, b.NewLock("x"), tryOnce)
		must(t, first.Release(t.Context())) // and takes nothing from the next
		if len(status(t, a, "x").Owners) != 1 || second.Err() != nil {
			t.Errorf("the second release took the lock from somebody else: %v", second.Err())
		}
		select {
		case <-first.Lost():
			t.Error("a lock that was released is told to be lost")
		case <-first.Context().Done():
			is(t, context.Cause(first.Context()), portalocker.ErrNotHeld)
		}
		release(t, second)
	})
}

func TestLeaseContext(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		type key struct{}
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "v"))
		l, err := newClient(t, addr).NewLock("x").Acquire(ctx)
		must(t, err)
		cancel()
		if l.Context().Err() != nil || l.Context().Value(key{}) != "v" {
			t.Error("the lease's context ended with that of Acquire, or has lost its values")
		}
		release(t, l)
	})
}

func TestBadOptions(t *testing.T) {
	rdb := newRedis(t, "127.0.0.1:1") // nothing is there, and nobody must look
	t.Cleanup(func() { must(t, rdb.Close()) })
	c := redislock.New(rdb)
	client := func(o redislock.Option) *redislock.Lock { return redislock.New(rdb, o).NewLock("x") }
	lock := func(o redislock.LockOption) locker { return c.NewLock("x", o) }
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": "127.0.0.1:1"}})
	t.Cleanup(func() { must(t, ring.Close()) })
	for want, l := range map[string]locker{
		"WithLeaseTTL(1ms)":      client(redislock.WithLeaseTTL(time.Millisecond)),
		`WithLiveness("pulse")`:  client(redislock.WithLiveness("pulse")),
		"WithReplicaAck(0":       client(redislock.WithReplicaAck(0, time.Second)),
		"WithReplicaAck(1, 0s)":  client(redislock.WithReplicaAck(1, 0)),
		"WithTimeout(-1ns)":      lock(redislock.WithTimeout(-1)),
		"WithCheckInterval(0s)":  lock(redislock.WithCheckInterval(0)),
		"the name is empty":      c.NewLock(""),
		"1048576 bytes":          c.NewLock(strings.Repeat("n", 1<<20)),
		"a semaphore of 0":       c.NewSemaphore("x", 0),
		"WithShared is for":      c.NewSemaphore("x", 1, redislock.WithShared()),
		"a *redis.Ring cannot":   redislock.New(ring).NewLock("x"),
		"a <nil> cannot be used": redislock.New(nil).NewLock("x"),
	} {
		_, err := l.Acquire(t.Context())
		is(t, err, portalocker.ErrLock)
		if err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, redislock.ErrUnavailable) {
			t.Errorf("%v, not %s", err, want)
		}
	}
	_, err := c.NewSemaphore("x", 1).Acquire(t.Context(), redislock.WithShared())
	if err == nil || !strings.Contains(err.Error(), "WithShared is for") {
		t.Errorf("WithShared in a semaphore's Acquire: %v", err)
	}
	var none context.Context
	if _, err := c.NewLock("x").Acquire(none); err == nil || !strings.Contains(err.Error(), "the context is nil") {
		t.Errorf("without a context: %v", err)
	}
	must(t, c.Close())
	_, err = c.NewLock("x").Acquire(t.Context())
	is(t, err, redislock.ErrClosed)
}

// TestNames: any bytes are a name, no two names are one lock, and List tells them.
func TestNames(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		c := newClient(t, addr)
		names := []string{
			"a", "A", "a b", "a\nb", "{a}", "}", "{", "}:owners", "a}:queue{", "ä€🔒", "\xff\x00", "%41", "*", "a?", "[a]", `\`, ":",
			strings.Repeat("é\n", 4096/3),
		}
		leases := map[string]*redislock.Lease{}
		for _, name := range names {
			leases[name] = acquire(t, c.NewLock(name), tryOnce)
		}
		all, err := c.List(t.Context())
		must(t, err)
		if len(all) != len(names) {
			t.Errorf("%d names, %d listed", len(names), len(all))
		}
		for _, s := range all {
			if leases[s.Name] == nil || s.Fence != leases[s.Name].Fence() {
				t.Errorf("%q is listed, with %d", s.Name, s.Fence)
			}
		}
		for _, name := range names {
			_, err := c.NewLock(name).Acquire(t.Context(), tryOnce)
			is(t, err, portalocker.ErrAlreadyLocked)
			if strings.ContainsAny(err.Error(), "\n\x00") {
				t.Errorf("%q is not one line", err.Error())
			}
			release(t, leases[name])
		}
	})
}
