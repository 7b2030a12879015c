package redislock_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/redistest"
	"github.com/portalocker/portalocker/internal/testproc"
	"github.com/portalocker/portalocker/redislock"
)

// lockerRole is a process with a client. It is given the address, the TTL of its
// lease and its liveness, and obeys: "acquire NAME", "err", "context", "release".
func lockerRole(p *testproc.Peer, args []string) error {
	lease, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	c := redislock.New(redis.NewClient(&redis.Options{Addr: args[0]}),
		redislock.WithLeaseTTL(lease), redislock.WithLiveness(redislock.Liveness(args[2])))
	var held *redislock.Lease
	for {
		line, ok := p.Hear()
		if !ok {
			return c.Close()
		}
		command, name, _ := strings.Cut(line, " ")
		switch command {
		case "acquire":
			if held, err = c.NewLock(name, redislock.WithTimeout(portalocker.Forever)).Acquire(context.Background()); err != nil {
				return err
			}
			p.Say("holds %d", held.Fence())
		case "err":
			p.Say("err %v", held.Err())
		case "context":
			<-held.Context().Done()
			p.Say("ended %v", context.Cause(held.Context()))
		case "release":
			p.Say("released %v", held.Release(context.Background()))
		}
	}
}

func startLocker(t *testing.T, addr string, lease time.Duration, by redislock.Liveness) *testproc.Process {
	t.Helper()
	return testproc.Start(t, "locker", addr, lease.String(), string(by))
}

// holds waits until the process has the lock, and gives its fence.
func holds(t *testing.T, p *testproc.Process) int64 {
	t.Helper()
	fence, err := strconv.ParseInt(p.Expect("holds"), 10, 64)
	must(t, err)
	return fence
}

// TestHolderKilled: the lock of a process that died goes to the next in the queue,
// long before the lease would run out: nothing but the connection tells.
func TestHolderKilled(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		p := startLocker(t, addr, time.Hour, redislock.Connected)
		p.Say("acquire x")
		fence := holds(t, p)
		c := newClient(t, addr)
		next := queueUp(t, c, "x", c.NewLock("x"), forever)
		began := time.Now()
		p.Kill()
		l := leaseOf(t, next)
		t.Logf("the next holds %v after the death", time.Since(began).Round(time.Millisecond))
		if l.Fence() <= fence {
			t.Errorf("fence %d after %d", l.Fence(), fence)
		}
		release(t, l)

		p = startLocker(t, addr, time.Hour, redislock.Connected)
		p.Say("acquire x")
		holds(t, p)
		p.Kill()
		testproc.Await(t, "one try is enough where nobody waits", func() bool {
			l, err := c.NewLock("x").Acquire(t.Context(), tryOnce)
			if err == nil {
				release(t, l)
			}
			return err == nil
		})
	})
}

// TestWaitersKilled: those who died are passed over, at the head of the queue, in the
// middle, and together with the holder.
func TestWaitersKilled(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		c := newClient(t, addr)
		held := acquire(t, c.NewLock("x"))
		var dead []*testproc.Process
		enqueue := func() {
			p := startLocker(t, addr, time.Hour, redislock.Connected)
			before := status(t, c, "x").Waiting
			p.Say("acquire x")
			testproc.Await(t, "the process waits", func() bool { return status(t, c, "x").Waiting > before })
			dead = append(dead, p)
		}
		enqueue()
		second := queueUp(t, c, "x", c.NewLock("x"), forever, handOverOnly)
		enqueue()
		fourth := queueUp(t, c, "x", c.NewLock("x"), forever, handOverOnly)
		for _, p := range dead {
			p.Kill()
		}
		testproc.Await(t, "the dead are not told of", func() bool { return status(t, c, "x").Waiting == 2 })
		release(t, held)
		l := leaseOf(t, second) // by hand-over: nobody looks at the clock
		release(t, l)
		release(t, leaseOf(t, fourth))

		holder := startLocker(t, addr, time.Hour, redislock.Connected)
		holder.Say("acquire x")
		holds(t, holder)
		enqueue()
		third := queueUp(t, c, "x", c.NewLock("x"), forever)
		holder.Kill()
		dead[2].Kill()
		release(t, leaseOf(t, third))
	})
}

// TestLeaseOnlyHolderKilled: there the connection is no sign of life; the lease is.
func TestLeaseOnlyHolderKilled(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := startLocker(t, s.Addr(), ttl, redislock.LeaseOnly)
	p.Say("acquire x")
	fence := holds(t, p)
	p.Kill()
	c := newClient(t, s.Addr())
	rdb := newRedis(t, s.Addr())
	sessions, err := rdb.Keys(t.Context(), "portalocker:session:*").Result()
	must(t, err)
	_, err = c.NewLock("x").Acquire(t.Context(), tryOnce)
	if alive := rdb.Exists(t.Context(), sessions...).Val() == 1; alive { // else the machine was too slow to look
		is(t, err, portalocker.ErrAlreadyLocked)
	}
	l := acquire(t, c.NewLock("x"), forever)
	if l.Fence() <= fence {
		t.Errorf("fence %d after %d", l.Fence(), fence)
	}
	if n := rdb.Exists(t.Context(), sessions...).Val(); n != 0 {
		t.Error("the lock was given away before the lease had run out")
	}
	release(t, l)
}
