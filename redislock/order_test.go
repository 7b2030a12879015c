package redislock_test

import (
	"context"
	"fmt"
	"strconv"
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

// TestOrderOfArrival: waiters of several clients are served in the order in which
// they came, and by hand-over, for nobody looks at the clock.
func TestOrderOfArrival(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		var clients []*redislock.Client
		for range 4 {
			clients = append(clients, newClient(t, addr))
		}
		held := acquire(t, clients[0].NewLock("x"))
		var waiting []<-chan result
		for i := range 32 {
			c := clients[i*7%len(clients)]
			waiting = append(waiting, queueUp(t, c, "x", c.NewLock("x"), forever, handOverOnly))
		}
		for i, w := range waiting {
			s := status(t, clients[0], "x")
			if s.Waiting != len(waiting)-i || len(s.Waiters) != s.Waiting || len(s.Owners) != 1 || s.Owners[0].Fence != held.Fence() {
				t.Fatalf("before turn %d: %+v", i, s)
			}
			before := held.Fence()
			release(t, held)
			held = leaseOf(t, w)
			if held.Fence() <= before {
				t.Errorf("fence %d after %d", held.Fence(), before)
			}
		}
		release(t, held)
	})
}

// TestNobodyBarges: a newcomer gets no lock past those who wait, not even one that
// would fit.
func TestNobodyBarges(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		a, b := newClient(t, addr), newClient(t, addr)
		read := b.NewLock("x", redislock.WithShared())
		reader := acquire(t, a.NewLock("x", redislock.WithShared()))
		writer := queueUp(t, b, "x", b.NewLock("x"), forever, handOverOnly)
		for range 20 { // a stream of readers, as a writer would starve by
			_, err := read.Acquire(t.Context(), tryOnce)
			is(t, err, portalocker.ErrAlreadyLocked)
		}
		behind := queueUp(t, b, "x", read, forever, handOverOnly)
		release(t, reader)
		w := leaseOf(t, writer)
		if s := status(t, a, "x"); s.Waiting != 1 || len(s.Owners) != 1 || s.Owners[0].Mode != "exclusive" {
			t.Errorf("with the writer: %+v", s)
		}
		release(t, w)
		release(t, leaseOf(t, behind))
	})
}

// TestReadersTogether: the readers in front are all let in by one release, those
// behind the next writer are not.
func TestReadersTogether(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		a, b := newClient(t, addr), newClient(t, addr)
		held := acquire(t, a.NewLock("x"))
		var readers []<-chan result
		for i := range 5 {
			c := []*redislock.Client{a, b}[i%2]
			readers = append(readers, queueUp(t, c, "x", c.NewLock("x", redislock.WithShared()), forever, handOverOnly))
		}
		writer := queueUp(t, b, "x", b.NewLock("x"), forever, handOverOnly)
		last := queueUp(t, a, "x", a.NewLock("x", redislock.WithShared()), forever, handOverOnly)
		release(t, held)
		var in []*redislock.Lease
		for _, r := range readers {
			in = append(in, leaseOf(t, r))
		}
		if s := status(t, a, "x"); len(s.Owners) != len(readers) || s.Waiting != 2 {
			t.Errorf("with the readers: %+v", s)
		}
		for _, l := range in {
			if n := status(t, a, "x").Waiting; n != 2 {
				t.Errorf("%d wait while readers hold", n)
			}
			release(t, l)
		}
		w := leaseOf(t, writer)
		if n := status(t, a, "x").Waiting; n != 1 {
			t.Errorf("%d wait for the writer", n)
		}
		release(t, w)
		release(t, leaseOf(t, last))
	})
}

// TestWriterAmongReaders: readers that hold the lock without a gap let each writer
// have its turn.
func TestWriterAmongReaders(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		stop := make(chan struct{})
		var readers sync.WaitGroup
		for range 3 {
			read := newClient(t, addr).NewLock("x", redislock.WithShared(), forever)
			for range 2 {
				readers.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						l, err := read.Acquire(t.Context())
						if err != nil {
							t.Error(err)
							return
						}
						release(t, l)
					}
				})
			}
		}
		write := newClient(t, addr).NewLock("x", forever, handOverOnly)
		for range 20 {
			release(t, acquire(t, write))
		}
		close(stop)
		readers.Wait()
	})
}

// TestThousandWaiters: all are served, and what the server does for each does not
// grow with their number.
func TestThousandWaiters(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	few, many := commandsPerHandOver(t, s, 30), commandsPerHandOver(t, s, 1000)
	t.Logf("commands per hand-over, those in the scripts included: %.1f with 30 waiters, %.1f with 1000", few, many)
	if many > few*1.5 {
		t.Error("a hand-over costs more with more waiters")
	}
}

// commandsPerHandOver has so many wait for a lock, and counts the commands from the
// first hand-over to the last.
func commandsPerHandOver(t *testing.T, s *redistest.Server, waiters int) float64 {
	var clients []*redislock.Client
	for range 5 {
		clients = append(clients, newClient(t, s.Addr()))
	}
	name := strconv.Itoa(waiters)
	held := acquire(t, clients[0].NewLock(name))
	came := make(chan result, waiters)
	for i := range waiters {
		go func() {
			l, err := clients[i%len(clients)].NewLock(name, forever, handOverOnly).Acquire(t.Context())
			came <- result{l, err}
		}()
	}
	testproc.Await(t, "all wait", func() bool { return status(t, clients[0], name).Waiting == waiters })
	rdb := newRedis(t, s.Addr())
	before := commands(t, rdb)
	for range waiters {
		fence := held.Fence()
		release(t, held)
		if held = leaseOf(t, came); held.Fence() <= fence {
			t.Fatalf("fence %d after %d", held.Fence(), fence)
		}
	}
	n := commands(t, rdb) - before
	release(t, held)
	return float64(n) / float64(waiters)
}

// calls is how often the server has run a command, also in scripts.
func calls(t *testing.T, rdb *redis.Client, command string) (n int) {
	t.Helper()
	text, err := rdb.Info(t.Context(), "commandstats").Result()
	must(t, err)
	if _, rest, ok := strings.Cut(text, "cmdstat_"+command+":calls="); ok {
		_, err = fmt.Sscanf(rest, "%d,", &n)
		must(t, err)
	}
	return n
}

// commands is how many the server has run, also in scripts.
func commands(t *testing.T, rdb *redis.Client) int {
	t.Helper()
	text, err := rdb.Info(t.Context(), "commandstats").Result()
	must(t, err)
	total := 0
	for line := range strings.Lines(text) {
		if name, rest, ok := strings.Cut(line, ":calls="); ok {
			var n int
			if _, err := fmt.Sscanf(rest, "%d,", &n); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			total += n
		}
	}
	return total
}

// TestManyAtOnce: requests that do not fit into the connections wait for their turn,
// not against the time for an answer, and keep no renewal from being sent.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	proxied := redistest.NewProxy(t, server.Addr())
	slow := redis.NewClient(&redis.Options{Addr: proxied.Addr(), PoolSize: 1})
	t.Cleanup(func() { must(t, slow.Close()) })
	proxied.Delay(2 * time.Millisecond)
	c := newClientOf(t, slow, redislock.WithLeaseTTL(1500*time.Millisecond)) // 500 ms for an answer
	held := acquire(t, c.NewLock("held"))
	var all sync.WaitGroup
	for i := range 500 { // of some 4 ms each
		all.Go(func() {
			l, err := c.NewLock(strconv.Itoa(i), forever).Acquire(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			if err := l.Release(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	must(t, held.Err())
	release(t, held)
}
