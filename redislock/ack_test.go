package redislock_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/portalocker/portalocker/internal/redistest"
	"github.com/portalocker/portalocker/internal/testproc"
	"github.com/portalocker/portalocker/redislock"
)

// replicaOf starts a replica, and waits until it follows.
func replicaOf(t *testing.T, master *redistest.Server) *redistest.Server {
	t.Helper()
	replica := redistest.Start(t, "--replicaof", strings.ReplaceAll(master.Addr(), ":", " "))
	testproc.Await(t, "the replica follows", func() bool {
		return strings.Contains(info(t, replica, "replication"), "master_link_status:up")
	})
	return replica
}

// TestReplicaAckOfAnotherServer: after a failover the replicas of the new master have
// nothing to say of a grant of the old one.
func TestReplicaAckOfAnotherServer(t *testing.T) {
	t.Parallel()
	old, master := redistest.Start(t), redistest.Start(t)
	replicaOf(t, master)
	var at atomic.Value
	at.Store(old.Addr())
	rdb := redis.NewClient(&redis.Options{Addr: old.Addr(), Dialer: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, at.Load().(string))
	}})
	t.Cleanup(func() { _ = rdb.Close() })
	c, other := newClientOf(t, rdb, redislock.WithReplicaAck(1, time.Second)), newClient(t, old.Addr())
	held := acquire(t, other.NewLock("x"))
	came := queueUp(t, c, "x", c.NewLock("x"), forever, handOverOnly)
	at.Store(master.Addr())
	old.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	must(t, held.Release(context.Background()))
	r := get(t, came)
	is(t, r.err, redislock.ErrUnavailable)
	if r.err != nil && !strings.Contains(r.err.Error(), "no record of the grant") {
		t.Error(r.err)
	}
}

// TestReplicaAckOfLessThanAMillisecond: to Redis 0 ms is for ever.
func TestReplicaAckOfLessThanAMillisecond(t *testing.T) {
	t.Parallel()
	c := newClient(t, redistest.Start(t).Addr(), redislock.WithReplicaAck(1, 500*time.Microsecond))
	_, err := c.NewLock("x").Acquire(t.Context())
	is(t, err, redislock.ErrUnavailable)
	if err != nil && !strings.Contains(err.Error(), "0 of the 1 replicas") {
		t.Error(err)
	}
}

// TestReplicaAckAndRenewal: grants that wait for a replica which does not answer leave
// connections to renew the lease, also when they are given up.
func TestReplicaAckAndRenewal(t *testing.T) {
	for what, patience := range map[string]time.Duration{"waiting": 5 * time.Second, "given up": 50 * time.Millisecond} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			master := redistest.Start(t)
			replica := replicaOf(t, master)
			rdb := redis.NewClient(&redis.Options{Addr: master.Addr(), PoolSize: 2})
			t.Cleanup(func() { _ = rdb.Close() })
			c := newClientOf(t, rdb, redislock.WithLeaseTTL(ttl), redislock.WithReplicaAck(1, 10*time.Second))
			held := acquire(t, c.NewLock("held"))
			replica.Stop()
			defer replica.Continue()
			var tries sync.WaitGroup
			for i := range 8 {
				tries.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					_, err := c.NewLock(fmt.Sprint(i)).Acquire(ctx, forever)
					is(t, err, redislock.ErrUnavailable)
				})
			}
			select {
			case <-held.Lost():
				t.Error(held.Err())
			case <-time.After(2 * ttl): // by then it was lost
			}
			tries.Wait()
		})
	}
}

// TestCloseWhileReplicasAreWaitedFor: Close ends that wait, and says so.
func TestCloseWhileReplicasAreWaitedFor(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	other := newClient(t, s.Addr())
	c := redislock.New(newRedis(t, s.Addr()), redislock.WithReplicaAck(1, time.Hour))
	came := make(chan result, 1)
	go func() {
		l, err := c.NewLock("x").Acquire(context.Background())
		came <- result{l, err}
	}()
	testproc.Await(t, "the grant", func() bool { return len(status(t, other, "x").Owners) == 1 })
	must(t, c.Close())
	is(t, get(t, came).err, redislock.ErrClosed)
}
