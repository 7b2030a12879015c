package redislock_test

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portalocker/portalocker/internal/redistest"
	"github.com/portalocker/portalocker/internal/testproc"
	"github.com/portalocker/portalocker/redislock"
)

// isLost fails unless everything about a lease says that it is lost.
func isLost(t *testing.T, l *redislock.Lease) {
	t.Helper()
	get(t, l.Lost())
	is(t, l.Err(), redislock.ErrLost)
	is(t, context.Cause(l.Context()), redislock.ErrLost)
	is(t, l.Release(t.Context()), redislock.ErrLost)
}

// TestLinkCut: both sides learn at once that the connection is gone.
func TestLinkCut(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		proxy := redistest.NewProxy(t, addr)
		a, b := newClient(t, proxy.Addr(), redislock.WithLeaseTTL(time.Hour)), newClient(t, addr)
		held := acquire(t, a.NewLock("x"))
		next := queueUp(t, b, "x", b.NewLock("x"), forever)
		began := time.Now()
		proxy.Cut()
		isLost(t, held)
		l := leaseOf(t, next)
		t.Logf("lost and handed on after %v", time.Since(began).Round(time.Millisecond))
		if l.Fence() <= held.Fence() {
			t.Errorf("fence %d after %d", l.Fence(), held.Fence())
		}
		waiting := queueUp(t, a, "x", a.NewLock("x"), forever, handOverOnly) // by a new session
		proxy.Cut()                                                          // which takes that one with it, too
		testproc.Await(t, "it waits again", func() bool { return status(t, b, "x").Waiting == 1 })
		release(t, l)
		release(t, leaseOf(t, waiting))
	})
}

// TestLogger: the loss of a session is a warning, its beginning and its end in good
// order are not.
func TestLogger(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		var text lines
		proxy := redistest.NewProxy(t, addr)
		logger := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))
		c := newClient(t, proxy.Addr(), redislock.WithLogger(logger))
		acquire(t, c.NewLock("x"))
		must(t, c.Close())
		if text.count("level=DEBUG") != 2 || text.count("level=") != 2 {
			t.Errorf("in good order: %s", text.String())
		}
		c = newClient(t, proxy.Addr(), redislock.WithLogger(logger))
		held := acquire(t, c.NewLock("x"))
		proxy.Cut()
		isLost(t, held)
		testproc.Await(t, "a warning", func() bool { return text.count("level=WARN") == 1 })
		if text.count("locks=1") != 1 {
			t.Errorf("lost: %s", text.String())
		}
	})
}

// lines is what a logger writes.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lines) count(what string) int { return strings.Count(l.String(), what) }

// TestLostTogether: when one lease is known to be lost, so are all the others of its
// session, though they are told one after the other.
func TestLostTogether(t *testing.T) {
	servers(t, func(t *testing.T, addr string) {
		proxy := redistest.NewProxy(t, addr)
		c := newClient(t, proxy.Addr())
		var leases []*redislock.Lease
		for i := range 500 {
			leases = append(leases, acquire(t, c.NewLock(strconv.Itoa(i))))
		}
		proxy.Cut()
		for known := false; !known; {
			for _, l := range leases {
				select {
				case <-l.Lost():
					known = true
				default:
				}
			}
		}
		for _, l := range leases {
			is(t, l.Err(), redislock.ErrLost)
		}
	})
}

// TestHalfOpenLink: nothing passes any more and nobody is told. The holder knows of
// the loss before the next one holds.
func TestHalfOpenLink(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	for _, by := range []redislock.Liveness{redislock.Connected, redislock.LeaseOnly} {
		t.Run(string(by), func(t *testing.T) {
			t.Parallel()
			proxy := redistest.NewProxy(t, s.Addr())
			name := string(by)
			a := newClient(t, proxy.Addr(), redislock.WithLeaseTTL(ttl), redislock.WithLiveness(by))
			held := acquire(t, a.NewLock(name))
			began := time.Now()
			proxy.HalfOpen()
			l := acquire(t, newClient(t, s.Addr()).NewLock(name), forever)
			is(t, held.Err(), redislock.ErrLost)
			t.Logf("with a lease of %v the next holds after %v", ttl, time.Since(began).Round(time.Millisecond))
			isLost(t, held)
			if l.Fence() <= held.Fence() {
				t.Errorf("fence %d after %d", l.Fence(), held.Fence())
			}
			proxy.Heal()
			release(t, acquire(t, a.NewLock("another "+name)))
			if l.Err() != nil {
				t.Error(l.Err())
			}
			release(t, l)
		})
	}
}

// TestSubscriptionKilled: an operator closes the connection that the session lives
// by; the others stay.
func TestSubscriptionKilled(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := newClient(t, s.Addr(), redislock.WithLeaseTTL(time.Hour))
	held := acquire(t, c.NewLock("x"))
	if n := s.Do("CLIENT", "KILL", "TYPE", "pubsub"); n != int64(1) {
		t.Fatalf("%v connections with a subscription", n)
	}
	isLost(t, held)
	l := acquire(t, c.NewLock("x"))
	if l.Fence() <= held.Fence() {
		t.Errorf("fence %d after %d", l.Fence(), held.Fence())
	}
	release(t, l)
}

// TestLeaseOnlyLinkCut: nothing is lost, and who waits hears of a grant that was
// told while the connection was down.
func TestLeaseOnlyLinkCut(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	proxy := redistest.NewProxy(t, s.Addr())
	a := newClient(t, proxy.Addr(), redislock.WithLiveness(redislock.LeaseOnly))
	b := newClient(t, s.Addr())
	held := acquire(t, a.NewLock("mine"))
	theirs := acquire(t, b.NewLock("theirs"))
	waiting := queueUp(t, a, "theirs", a.NewLock("theirs"), forever, handOverOnly)
	proxy.Refuse(true)
	proxy.Cut()
	release(t, theirs)
	if held.Err() != nil {
		t.Errorf("lost: %v", held.Err())
	}
	proxy.Refuse(false)
	l := leaseOf(t, waiting)
	for _, l := range []*redislock.Lease{held, l} {
		if l.Err() != nil {
			t.Errorf("lost: %v", l.Err())
		}
		must(t, l.Release(t.Context()))
	}
}

// TestLeaseOnlySubscriptionHalfOpen: a subscription that is silent is replaced, for
// the grants that it would bring.
func TestLeaseOnlySubscriptionHalfOpen(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	proxy := redistest.NewProxy(t, s.Addr())
	// Long enough that the session outlives a renewal that meets a hanging connection.
	// There must be but one of those, so that b does the looking: who waits looks no
	// more, and a session that is lost in between leaves an owner that none finds.
	a := newClient(t, proxy.Addr(), redislock.WithLiveness(redislock.LeaseOnly), redislock.WithLeaseTTL(4*ttl))
	b := newClient(t, s.Addr())
	theirs := acquire(t, b.NewLock("x"))
	waiting := make(chan result, 1)
	go func() {
		lease, err := a.NewLock("x").Acquire(t.Context(), forever, handOverOnly)
		waiting <- result{lease, err}
	}()
	testproc.Await(t, "a waiter that knows", func() bool { return status(t, b, "x").Waiting == 1 && a.Answered() == 1 })
	proxy.HalfOpen()
	proxy.Heal() // for new connections: the commands go on, the subscription hangs
	release(t, theirs)
	l := leaseOf(t, waiting)
	if l.Err() != nil {
		t.Errorf("lost: %v", l.Err())
	}
	must(t, l.Release(t.Context()))
}
