package redislock_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/redistest"
	"github.com/portalocker/portalocker/internal/testproc"
	"github.com/portalocker/portalocker/redislock"
)

func TestStatus(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		c := newClient(t, addr)
		if s := status(t, c, "x"); s.Name != "x" || len(s.Owners)+len(s.Waiters)+s.Waiting+s.Foreign != 0 || s.Fence != 0 {
			t.Errorf("of a name that nobody uses: %+v", s)
		}
		began := time.Now().Add(-time.Minute)
		first, second := acquire(t, c.NewSemaphore("x", 2)), acquire(t, c.NewSemaphore("x", 2))
		waiting := queueUp(t, c, "x", c.NewLock("x"), forever, handOverOnly)
		s := status(t, c, "x")
		if len(s.Owners) != 2 || s.Owners[0].Fence != first.Fence() || s.Owners[1].Fence != second.Fence() || s.Fence != second.Fence() {
			t.Errorf("owners: %+v", s)
		}
		if s.Waiting != 1 || len(s.Waiters) != 1 || s.Waiters[0].Mode != "exclusive" || s.Waiters[0].Permits != 0 || s.Waiters[0].Fence != 0 {
			t.Errorf("waiters: %+v", s)
		}
		if o := s.Owners[0]; o.Mode != "permit" || o.Permits != 2 {
			t.Errorf("an owner of a permit: %+v", o)
		}
		host, _ := os.Hostname()
		for _, p := range append(s.Owners, s.Waiters...) {
			if p.PID != itself() || p.Host != host || p.ID == "" || p.Since.Before(began) || p.Since.After(time.Now().Add(time.Minute)) {
				t.Errorf("%+v", p)
			}
		}
		all, err := c.List(t.Context())
		must(t, err)
		if len(all) != 1 || all[0].Name != "x" || len(all[0].Owners) != 2 {
			t.Errorf("listed: %+v", all)
		}
		release(t, first)
		release(t, second)
		release(t, leaseOf(t, waiting))
		if all, err = c.List(t.Context()); err != nil || len(all) != 0 {
			t.Errorf("when nobody holds anything: %+v, %v", all, err)
		}
		if _, err = c.Status(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "the name is empty") {
			t.Error(err)
		}
	})
}

// TestForeignPeers: Python's locks are subscriptions to the channel of the name.
func TestForeignPeers(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		rdb, c := newRedis(t, addr), newClient(t, addr)
		python := rdb.Subscribe(t.Context(), "x")
		_, err := python.Receive(t.Context())
		must(t, err)
		_, err = c.NewLock("x", forever).Acquire(t.Context())
		is(t, err, redislock.ErrForeignPeers)
		if !strings.Contains(err.Error(), "pywire") || !strings.Contains(err.Error(), `"x"`) {
			t.Errorf("%v does not name the channel, and what to use", err)
		}
		if s := status(t, c, "x"); s.Foreign != 1 || s.Waiting != 0 {
			t.Errorf("%+v", s)
		}
		release(t, acquire(t, c.NewLock("y"), tryOnce))
		must(t, python.Close())
		testproc.Await(t, "the channel is free", func() bool { return status(t, c, "x").Foreign == 0 })
		release(t, acquire(t, c.NewLock("x"), tryOnce))
	})
}

// TestListBesideOthersData: what another program has where a lock's records belong is
// told of, and hides no other lock.
func TestListBesideOthersData(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		rdb, c := newRedis(t, addr), newClient(t, addr)
		must(t, rdb.Set(t.Context(), redislock.KeysOf("owners")[0], "v", 0).Err())
		must(t, rdb.RPush(t.Context(), redislock.KeysOf("queue")[1], "v").Err())
		must(t, rdb.HSet(t.Context(), redislock.KeysOf("entry")[0], "h", "1 2 shared 0").Err())
		for _, key := range []string{"portalocker:{}:owners", "portalocker:{a}b}:queue", "portalocker:{%78}:owners"} {
			must(t, rdb.Set(t.Context(), key, "v", 0).Err()) // keys of no lock's
		}
		all, err := c.List(t.Context())
		if err == nil || all == nil || len(all) != 0 {
			t.Errorf("without locks the list is %#v (%v)", all, err)
		}
		first, last := acquire(t, c.NewLock("a")), acquire(t, c.NewLock("x"))
		all, err = c.List(t.Context())
		if len(all) != 2 || all[0].Name != "a" || all[1].Name != "x" || len(all[0].Owners) != 1 {
			t.Errorf("listed: %+v", all)
		}
		if err == nil || errors.Is(err, redislock.ErrUnavailable) || strings.Count(err.Error(), addr) != 3 || strings.Count(err.Error(), "WRONGTYPE") != 2 {
			t.Fatalf("the error is %v", err)
		}
		for _, name := range []string{"owners", "queue", "entry"} {
			if !strings.Contains(err.Error(), "status "+name+":") {
				t.Errorf("%s is not in %v", name, err)
			}
		}
		var one *portalocker.LockError
		if !errors.As(err, &one) || one.Op != "status" {
			t.Errorf("%#v has no LockError", err)
		}
		release(t, first)
		release(t, last)
	})
}

// TestCheck: each of the settings by which a server may forget a lock is found; a
// server of its own, as it comes, is fine.
func TestCheck(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := newClient(t, s.Addr())
	check := func(c *redislock.Client) []redislock.Finding {
		t.Helper()
		found, err := c.Check(t.Context())
		must(t, err)
		return found
	}
	if found := check(c); len(found) != 0 {
		t.Errorf("a plain server: %v", found)
	}
	for _, want := range []struct {
		policy, memory string
		fatal          bool
	}{
		{"allkeys-lru", "0", false}, {"allkeys-lru", "100mb", true}, {"allkeys-random", "100mb", true},
		{"volatile-ttl", "0", false}, {"volatile-ttl", "100mb", true},
	} {
		s.Do("CONFIG", "SET", "maxmemory-policy", want.policy, "maxmemory", want.memory)
		found := check(c)
		if len(found) != 1 || found[0].Fatal != want.fatal || found[0].Subject != "maxmemory-policy" || found[0].Server != s.Addr() ||
			!strings.Contains(found[0].String(), want.policy) || !strings.Contains(found[0].Message, "noeviction") {
			t.Errorf("%s with maxmemory %s: %v", want.policy, want.memory, found)
		}
	}
	s.Do("CONFIG", "SET", "maxmemory-policy", "noeviction")

	replica := redistest.Start(t, "--replicaof", strings.ReplaceAll(s.Addr(), ":", " "))
	testproc.Await(t, "the master has a replica", func() bool { return strings.Contains(info(t, s, "replication"), "connected_slaves:1") })
	if found := check(c); len(found) != 1 || found[0].Fatal || found[0].Subject != "min-replicas-to-write" {
		t.Errorf("a master that does not insist on its replica: %v", found)
	}
	s.Do("CONFIG", "SET", "min-replicas-to-write", "1")
	testproc.Await(t, "a master that does, and whose replica has said so, is fine", func() bool { return len(check(c)) == 0 })
	found := check(newClient(t, replica.Addr()))
	if len(found) == 0 || !found[0].Fatal || found[0].Subject != "role" || !strings.Contains(found[0].Message, s.Addr()) {
		t.Errorf("a replica: %v", found)
	}

	s.Do("ACL", "SETUSER", "blind", "on", ">"+secret, "~*", "&*", "+@all", "-info")
	blind := redis.NewClient(&redis.Options{Addr: s.Addr(), Username: "blind", Password: secret})
	t.Cleanup(func() { must(t, blind.Close()) })
	if found := check(newClientOf(t, blind)); len(found) != 1 || found[0].Fatal || found[0].Subject != "INFO" {
		t.Errorf("without INFO: %v", found)
	}
	if n := s.Do("DBSIZE"); n != int64(0) {
		t.Errorf("Check left %v keys", n)
	}
}

func info(t *testing.T, s *redistest.Server, section string) string {
	t.Helper()
	text, ok := s.Do("INFO", section).(string)
	if !ok {
		t.Fatal("INFO is no text")
	}
	return text
}

// TestStatusTellsTheFront: whoever comes to the front of the queue because Status has
// found those before to be dead is told of it, to look for dead owners from then on.
func TestStatusTellsTheFront(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	proxy := redistest.NewProxy(t, s.Addr())
	o, dead, alive := newClient(t, s.Addr()), newClient(t, proxy.Addr()), newClient(t, s.Addr())
	acquire(t, o.NewLock("x"))
	wait := func(c *redislock.Client) {
		queueUp(t, c, "x", c.NewLock("x"), forever, handOverOnly)
	}
	wait(alive) // or who died at the head would be found by the way
	for range redislock.Front - 1 {
		wait(dead)
	}
	wait(alive)
	told := newRedis(t, s.Addr()).PSubscribe(t.Context(), "portalocker:*") // which NUMSUB does not count
	t.Cleanup(func() { _ = told.Close() })
	_, err := told.Receive(t.Context())
	must(t, err)
	proxy.Refuse(true)
	proxy.Cut()
	testproc.Await(t, "they are found dead", func() bool { return status(t, o, "x").Waiting == 2 })
	m, err := told.ReceiveTimeout(t.Context(), time.Minute)
	must(t, err)
	if m, ok := m.(*redis.Message); !ok || !strings.HasPrefix(m.Payload, "front ") {
		t.Errorf("the first message is %v", m)
	}
}
