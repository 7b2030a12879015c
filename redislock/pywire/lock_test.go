package pywire_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/redistest"
	"github.com/portalocker/portalocker/internal/testproc"
	"github.com/portalocker/portalocker/redislock"
	"github.com/portalocker/portalocker/redislock/pywire"
)

var (
	once    = pywire.WithTimeout(0)
	forever = pywire.WithTimeout(portalocker.Forever)
	often   = pywire.WithCheckInterval(10 * time.Millisecond)
)

func TestExclusive(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	lock := pywire.New(s.Client(), channel)
	lease := acquired(t, lock)
	if _, name := holder(t, s); len(name) != len(holderName(lowest)) || strings.ToLower(name) != name {
		t.Errorf("the connection's name is %q", name)
	}
	must(t, lease.Err())
	for name, opts := range map[string][]pywire.Option{
		"a writer": {once}, "a reader": {once, pywire.WithShared()},
		"one who does not wait": {pywire.WithFailWhenLocked(true)},
		"one who waits":         {pywire.WithTimeout(time.Second), often},
	} {
		_, err := lock.Acquire(t.Context(), opts...)
		var lockErr *portalocker.LockError
		if !errors.Is(err, portalocker.ErrAlreadyLocked) || !errors.As(err, &lockErr) || lockErr.Path != channel {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, lease.Release(t.Context()))
	must(t, lease.Release(t.Context())) // the second does nothing
	if err := lease.Err(); !errors.Is(err, portalocker.ErrNotHeld) || !errors.Is(context.Cause(lease.Context()), portalocker.ErrNotHeld) {
		t.Errorf("after the release: %v, %v", err, context.Cause(lease.Context()))
	}
	select {
	case <-lease.Lost():
		t.Error("a lock that was released is lost")
	default:
	}
	if n := subscribers(t, s); n != 0 {
		t.Errorf("%d are on the channel after the release", n)
	}
	acquired(t, lock, once)
}

// TestReleaseIsSeenAtOnce: the server has confirmed the release when it returns, so
// the next try finds the lock free.
func TestReleaseIsSeenAtOnce(t *testing.T) {
	t.Parallel()
	lock := pywire.New(redistest.Start(t).Client(), channel, once)
	for range 50 {
		must(t, acquired(t, lock).Release(t.Context()))
	}
}

func TestShared(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	writer := pywire.New(s.Client(), channel, often)
	reader := pywire.New(s.Client(), channel, often, pywire.WithShared())
	a, b := acquired(t, reader, once), acquired(t, reader, once)
	if _, err := writer.Acquire(t.Context(), once); !errors.Is(err, portalocker.ErrAlreadyLocked) {
		t.Errorf("a writer among readers: %v", err)
	}
	got := make(chan *pywire.Lease)
	go func() {
		l, err := writer.Acquire(context.Background(), forever)
		if err != nil {
			t.Error(err)
		}
		got <- l
	}()
	// One more who listens, to see that the writer is elected, and stays.
	elected := make(chan struct{})
	go func() {
		defer close(elected)
		awaitElected(t, s)
	}()
	within(t, "the writer is elected", elected)
	if _, err := reader.Acquire(t.Context(), once); !errors.Is(err, portalocker.ErrAlreadyLocked) {
		t.Errorf("a new reader while a writer waits: %v", err)
	}
	must(t, a.Release(t.Context()))
	select {
	case <-got:
		t.Fatal("the writer is in while a reader is")
	case <-time.After(100 * time.Millisecond):
	}
	must(t, b.Release(t.Context()))
	w := within(t, "the writer has the lock", got)
	must(t, w.Release(t.Context()))
}

// TestProtocol2: with the older protocol of Redis, as some servers and proxies want it.
func TestProtocol2(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	opts := s.Options()
	opts.Protocol = 2
	rdb := redis.NewClient(opts)
	defer func() { must(t, rdb.Close()) }()
	lock := pywire.New(rdb, channel)
	lease := acquired(t, lock, once)
	if _, err := lock.Acquire(t.Context(), once); !errors.Is(err, portalocker.ErrAlreadyLocked) {
		t.Errorf("it says %v", err)
	}
	must(t, lease.Release(t.Context()))
	if n := subscribers(t, s); n != 0 {
		t.Errorf("%d are on the channel after the release", n)
	}
}

// TestContenders: many take the lock in turn, readers and writers, and what it guards
// stays whole.
func TestContenders(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	lock := pywire.New(s.Client(), channel, often, forever)
	var inside, readers atomic.Int32
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			var opts []pywire.Option
			if i%4 == 0 {
				opts = append(opts, pywire.WithShared())
			}
			for range 5 {
				lease, err := lock.Acquire(context.Background(), opts...)
				if err != nil {
					t.Error(err)
					return
				}
				if opts != nil {
					readers.Add(1)
					if inside.Load() != 0 {
						t.Error("a reader is in with a writer")
					}
					readers.Add(-1)
				} else {
					if inside.Add(1) != 1 || readers.Load() != 0 {
						t.Error("a writer is not alone")
					}
					inside.Add(-1)
				}
				if err := lease.Release(context.Background()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// TestFailWhenLockedHasAWinner: of several who do not wait, and come at once, one gets
// the lock.
func TestFailWhenLockedHasAWinner(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	for _, opt := range []pywire.Option{pywire.WithFailWhenLocked(true), once} {
		lock := pywire.New(s.Client(), channel, opt)
		for range 25 {
			results := make(chan *pywire.Lease, 4)
			start := make(chan struct{})
			for range cap(results) {
				go func() {
					<-start
					lease, err := lock.Acquire(context.Background())
					if err != nil && !errors.Is(err, portalocker.ErrAlreadyLocked) {
						t.Error(err)
					}
					results <- lease
				}()
			}
			close(start)
			var won []*pywire.Lease
			for range cap(results) {
				if lease := <-results; lease != nil {
					won = append(won, lease)
				}
			}
			if len(won) != 1 {
				t.Fatalf("%d got the lock", len(won))
			}
			must(t, won[0].Release(t.Context()))
		}
	}
}

func TestDo(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	lock := pywire.New(s.Client(), channel, once)
	wrong := errors.New("wrong")
	err := lock.Do(t.Context(), func(context.Context) error {
		if _, err := lock.Acquire(t.Context()); !errors.Is(err, portalocker.ErrAlreadyLocked) {
			t.Errorf("inside: %v", err)
		}
		return wrong
	})
	if !errors.Is(err, wrong) {
		t.Errorf("it says %v", err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = lock.Do(t.Context(), func(context.Context) error { panic("oh") })
	}()
	err = lock.Do(t.Context(), func(ctx context.Context) error {
		id, _ := holder(t, s)
		s.Do("CLIENT", "KILL", "ID", id)
		within(t, "the context ends", ctx.Done())
		return context.Cause(ctx)
	})
	if !errors.Is(err, redislock.ErrLost) {
		t.Errorf("the lock was lost: %v", err)
	}
	acquired(t, lock)
}

// TestCancelled: an Acquire that is cancelled at any moment ends, and leaves nothing.
func TestCancelled(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	mine := s.Client()
	held := acquired(t, pywire.New(mine, channel, pywire.WithShared()))
	for i := range 100 {
		ctx, cancel := context.WithCancelCause(t.Context())
		bored := errors.New("bored")
		timer := time.AfterFunc(rand.N(12*time.Millisecond), func() { cancel(bored) })
		opts := []pywire.Option{forever, often}
		if i%3 == 0 {
			opts = append(opts, pywire.WithShared())
		}
		lease, err := pywire.New(mine, channel).Acquire(ctx, opts...)
		switch {
		case err == nil && i%3 == 0:
			must(t, lease.Release(t.Context()))
		case err == nil:
			t.Error("a writer is in while a reader is")
		case !errors.Is(err, context.Canceled) || !errors.Is(err, bored):
			t.Errorf("it says %v", err)
		}
		timer.Stop()
		cancel(nil)
	}
	must(t, held.Release(t.Context()))
	testproc.Await(t, "all connections are gone", func() bool {
		return !strings.Contains(s.Do("CLIENT", "LIST").(string), "sub=1") && subscribers(t, s) == 0
	})
	n := strings.Count(s.Do("CLIENT", "LIST").(string), "\n")
	if n > 12 { // those of the clients of the test
		t.Errorf("%d connections are left", n)
	}
}

func TestBadUse(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{s.Addr()}})
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": s.Addr()}})
	defer func() { must(t, cluster.Close()); must(t, ring.Close()) }()
	for want, lock := range map[string]*pywire.Lock{
		"does not work on a cluster": pywire.New(cluster, channel),
		"*redis.Ring":                pywire.New(ring, channel),
		"is empty":                   pywire.New(s.Client(), ""),
		"character":                  pywire.New(s.Client(), "nightly report"),
		"printable ASCII":            pywire.New(s.Client(), "nächtlich"),
		"4097 bytes":                 pywire.New(s.Client(), strings.Repeat("x", 4097)),
		"WithTimeout(-1s)":           pywire.New(s.Client(), channel, pywire.WithTimeout(-time.Second)),
		"WithCheckInterval(0s)":      pywire.New(s.Client(), channel, pywire.WithCheckInterval(0)),
		"WithUnavailableTimeout(1ms)": pywire.New(s.Client(), channel,
			pywire.WithUnavailableTimeout(time.Millisecond)),
	} {
		_, err := lock.Acquire(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, portalocker.ErrLock) {
			t.Errorf("%s: %v", want, err)
		}
	}
	lock := pywire.New(s.Client(), channel, pywire.WithLogger(nil), pywire.WithCheckInterval(portalocker.Forever), forever)
	//lint:ignore SA1012 that is what is tested
	if _, err := lock.Acquire(nil); err == nil { //nolint:staticcheck
		t.Error("without a context it acquires")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lock.Acquire(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
	acquired(t, lock)
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--requirepass secret")
	for want, opts := range map[string]*redis.Options{
		"is it running": {Addr: "127.0.0.1:1"},
		"password":      {Addr: s.Addr()},
	} {
		rdb := redis.NewClient(opts)
		_, err := pywire.New(rdb, channel).Acquire(t.Context())
		if !errors.Is(err, redislock.ErrUnavailable) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
		must(t, rdb.Close())
	}
	// A link that is dead from the start: the context still ends the wait at once.
	p := redistest.NewProxy(t, s.Addr())
	p.HalfOpen()
	rdb := redis.NewClient(&redis.Options{Addr: p.Addr(), Password: "secret"})
	defer func() { must(t, rdb.Close()) }()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := pywire.New(rdb, channel).Acquire(ctx)
	if !errors.Is(err, redislock.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("over a dead link: %v", err)
	}
	if time.Since(began) > 2*time.Second { // a command may take three
		t.Errorf("it ends after %v", time.Since(began))
	}
}

// TestRights: a user who lacks one is told what there has to be for this package; what
// package redislock needs is something else.
func TestRights(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	play(t, s, holderName(lowest), always("")) // so that it is pinged, and cut off
	for _, lacks := range []string{"-subscribe", "-pubsub", "-multi", "-publish", "-client|list", "-client|kill", "resetchannels"} {
		t.Run(lacks, func(t *testing.T) {
			t.Parallel()
			s.Do("ACL", "SETUSER", lacks, "on", ">secret", "allchannels", "+@all", lacks)
			opts := s.Options()
			opts.Username, opts.Password = lacks, "secret"
			rdb := redis.NewClient(opts)
			t.Cleanup(func() { must(t, rdb.Close()) })
			_, err := pywire.New(rdb, channel).Acquire(t.Context())
			if !errors.Is(err, redislock.ErrUnavailable) || !strings.Contains(err.Error(), "docs/python.md") || !strings.Contains(err.Error(), s.Addr()) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestReleaseWithoutContext: nil is as good as context.Background.
func TestReleaseWithoutContext(t *testing.T) {
	t.Parallel()
	rdb := redis.NewClient(&redis.Options{Addr: redistest.Start(t).Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	lease, err := pywire.New(rdb, "x").Acquire(t.Context())
	must(t, err)
	//lint:ignore SA1012 a caller may
	must(t, lease.Release(nil))
	n, err := rdb.PubSubNumSub(t.Context(), "x").Result()
	if must(t, err); n["x"] != 0 {
		t.Errorf("%d subscribers after the release", n["x"])
	}
}
