package redislock_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/redistest"
	"github.com/portalocker/portalocker/internal/testproc"
	"github.com/portalocker/portalocker/redislock"
)

// TestReplicaAck: a lock counts when a replica has it; without that it is given
// back.
func TestReplicaAck(t *testing.T) {
	t.Parallel()
	master := redistest.Start(t)
	replica := replicaOf(t, master)
	c := newClient(t, master.Addr(), redislock.WithReplicaAck(1, time.Minute))
	l := acquire(t, c.NewLock("x"))
	if n := replica.Do("HLEN", redislock.KeysOf("x")[0]); n != int64(1) {
		t.Errorf("the replica has %v owners", n)
	}
	release(t, l)

	replica.Stop()
	hasty := newClient(t, master.Addr(), redislock.WithReplicaAck(1, 50*time.Millisecond))
	_, err := hasty.NewLock("x").Acquire(t.Context())
	isTrouble(t, err, master.Addr(), "0 of the 1 replicas")
	if n := len(status(t, c, "x").Owners); n != 0 {
		t.Errorf("%d hold it", n)
	}
	ctx, cancel := withCause(t)
	came := make(chan error, 1)
	go func() {
		_, err := c.NewLock("x").Acquire(ctx) // would wait for a minute
		came <- err
	}()
	testproc.Await(t, "it is granted", func() bool { return len(status(t, c, "x").Owners) == 1 })
	cancel(errWhy)
	is(t, get(t, came), errWhy)
	testproc.Await(t, "it is given back", func() bool { return len(status(t, c, "x").Owners) == 0 })
	replica.Continue()
	release(t, acquire(t, c.NewLock("x")))
}

// TestCluster: every lock lives where its name belongs, with its session.
func TestCluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	a, b := newClientOf(t, cluster.Client(), redislock.WithLeaseTTL(ttl)), newClientOf(t, cluster.Client())
	held := map[string]*redislock.Lease{}
	masters := map[string]int{}
	for i := range 24 {
		name := fmt.Sprint("name ", i)
		held[name] = acquire(t, a.NewLock(name))
		masters[cluster.Master(redislock.KeysOf(name)[0]).Addr()]++
	}
	if len(masters) != 3 {
		t.Fatalf("the names are on %v", masters)
	}
	all, err := b.List(t.Context())
	must(t, err)
	if len(all) != len(held) {
		t.Errorf("%d listed", len(all))
	}
	found, err := b.Check(t.Context())
	must(t, err)
	if len(found) != 0 {
		t.Errorf("Check finds %v", found)
	}
	waiting := map[string]<-chan result{}
	for name := range held {
		waiting[name] = queueUp(t, b, name, b.NewLock(name), forever, handOverOnly)
	}
	for name, l := range held {
		release(t, l)
		next := leaseOf(t, waiting[name])
		if next.Fence() <= l.Fence() {
			t.Errorf("%s: fence %d after %d", name, next.Fence(), l.Fence())
		}
		release(t, next)
	}

	// A shard that dies takes its locks with it, and no others.
	lost := cluster.Master(redislock.KeysOf("name 0")[0])
	for name := range held {
		held[name] = acquire(t, a.NewLock(name))
	}
	lost.Restart()
	for name, l := range held {
		if cluster.Master(redislock.KeysOf(name)[0]) == lost {
			isLost(t, l)
		} else if l.Err() != nil {
			t.Errorf("%s: %v", name, l.Err())
		}
	}
	cluster.AwaitOK()
	testproc.Await(t, "locks work there again", func() bool {
		l, err := b.NewLock("name 0").Acquire(t.Context())
		if err == nil {
			release(t, l)
		}
		return err == nil
	})
	must(t, a.Close())
	for name := range held {
		l, err := b.NewLock(name).Acquire(t.Context(), tryOnce)
		must(t, err)
		release(t, l)
	}
	must(t, b.Close())
	for _, s := range cluster.Servers() {
		keys, _ := s.Do("KEYS", "*").([]any)
		for _, key := range keys {
			if !strings.HasSuffix(fmt.Sprint(key), "}:fence") {
				t.Errorf("left behind: %v", key)
			}
		}
	}
}

// TestClusterDown: a shard that is gone is a clear error.
func TestClusterDown(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	c := newClientOf(t, cluster.Client(), redislock.WithLeaseTTL(ttl))
	held := acquire(t, c.NewLock("x"))
	cluster.Master(redislock.KeysOf("x")[0]).Kill()
	isLost(t, held)
	_, err := c.NewLock("x", redislock.WithTimeout(10*time.Second)).Acquire(t.Context())
	isTrouble(t, err, "cluster 127.0.0.1:", "")
}

// TestSentinelFailover: what was held is lost, locks work on the new master, and
// fences grow.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t)
	c := newClientOf(t, s.Client(), redislock.WithReplicaAck(1, 2*time.Second))
	held := acquire(t, c.NewLock("x"))
	found, err := c.Check(t.Context())
	must(t, err)
	if len(found) != 1 || found[0].Server != s.Master().Addr() {
		t.Errorf("Check finds %v", found)
	}
	s.Master().Kill()
	isLost(t, held)
	_, err = c.NewLock("x").Acquire(t.Context())
	isTrouble(t, err, s.Master().Addr(), "is it running")
	s.AwaitFailover()
	after := newClientOf(t, s.Client())
	testproc.Await(t, "locks work again", func() bool {
		l, err := after.NewLock("x").Acquire(t.Context())
		if err != nil {
			is(t, err, redislock.ErrUnavailable)
			return false
		}
		if l.Fence() <= held.Fence() {
			t.Errorf("fence %d after %d", l.Fence(), held.Fence())
		}
		release(t, l)
		return true
	})
	testproc.Await(t, "also for the old client, which wants a replica", func() bool {
		_, err := c.NewLock("x").Acquire(t.Context(), redislock.WithTimeout(100*time.Millisecond))
		return err != nil && !errors.Is(err, portalocker.ErrAlreadyLocked) && strings.Contains(err.Error(), s.Replica().Addr())
	})
}

// TestOtherTransports: TLS, a Unix socket, a database other than the first.
func TestOtherTransports(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) *redis.Client{
		"tls":    func(t *testing.T) *redis.Client { return redistest.StartTLS(t).Client() },
		"socket": func(t *testing.T) *redis.Client { return redistest.StartSocket(t).Client() },
		"database": func(t *testing.T) *redis.Client {
			rdb := redis.NewClient(&redis.Options{Addr: redistest.Start(t).Addr(), DB: 5, Protocol: 2, PoolSize: 1})
			t.Cleanup(func() { must(t, rdb.Close()) })
			return rdb
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClientOf(t, start(t))
			held := acquire(t, c.NewLock("x"))
			waiting := queueUp(t, c, "x", c.NewLock("x"), forever, handOverOnly)
			release(t, held)
			release(t, leaseOf(t, waiting))
		})
	}
}
