package redislock

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/portalocker/portalocker"
)

// DefaultLeaseTTL is how long the lease of a session lasts, unless WithLeaseTTL
// says otherwise.
const DefaultLeaseTTL = 10 * time.Second

// minLeaseTTL leaves a renewal, which has a third of it, time for its answer.
const minLeaseTTL = 100 * time.Millisecond

// Liveness is what a server takes as the sign that a holder is alive.
type Liveness string

const (
	// Connected means: a holder is alive while its connection is open and its lease
	// has not run out. It is the default. A process that dies is gone at once.
	Connected Liveness = "connection"

	// LeaseOnly means: a holder is alive until its lease runs out. A connection that
	// breaks is opened again and nothing is lost, but a process that dies holds its
	// locks for up to the TTL of the lease. It is for links that break often.
	LeaseOnly Liveness = "lease"
)

// Option changes how a Client works. A bad value is reported by every Acquire.
type Option func(*clientSettings)

type clientSettings struct {
	ttl      time.Duration
	liveness Liveness
	replicas int
	ackLimit time.Duration
	idle     time.Duration // idleAfter, but for tests
	logger   *slog.Logger
	err      error // the first bad option
}

// WithLeaseTTL sets how long a lease lasts that is not renewed; it is renewed every
// third of that. So long at most does a holder whose machine has lost its power or
// its link keep others waiting, and so long at most may the server be silent before
// everything that is held counts as lost. The default is DefaultLeaseTTL; at least
// 100 milliseconds.
func WithLeaseTTL(d time.Duration) Option {
	return func(s *clientSettings) {
		s.ttl = d
		if d < minLeaseTTL {
			s.fail(fmt.Errorf("WithLeaseTTL(%v): at least %v", d, minLeaseTTL))
		}
	}
}

// WithLiveness sets by what a holder counts as alive. The default is Connected.
func WithLiveness(l Liveness) Option {
	return func(s *clientSettings) {
		s.liveness = l
		if l != Connected && l != LeaseOnly {
			s.fail(fmt.Errorf("WithLiveness(%q): it is Connected or LeaseOnly", string(l)))
		}
	}
}

// WithReplicaAck makes a lock count as acquired only when n replicas have the
// record of it, and gives it back with an error if they do not have it in time
// (WAIT of Redis). It narrows the window in which a failover can undo a lock, and
// does not close it: docs/redis.md says what remains.
func WithReplicaAck(n int, timeout time.Duration) Option {
	return func(s *clientSettings) {
		s.replicas, s.ackLimit = n, timeout
		if n < 1 || timeout <= 0 {
			s.fail(fmt.Errorf("WithReplicaAck(%d, %v): at least one replica and a time above 0", n, timeout))
		}
	}
}

// WithLogger sets where to tell of sessions that begin and end, at level debug, and
// of those that are lost, at level warn. The default is nowhere.
func WithLogger(logger *slog.Logger) Option {
	return func(s *clientSettings) { s.logger = logger }
}

func (s *clientSettings) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

// LockOption changes how a lock or a semaphore behaves: in a constructor always, in
// Acquire for that call. A bad value is reported by Acquire before it asks the
// server.
type LockOption func(*lockSettings)

type lockSettings struct {
	shared         bool
	timeout        time.Duration
	checkInterval  time.Duration
	failWhenLocked bool
	err            error // the first bad option
}

// WithShared makes a lock a reader's: readers hold it together, and exclude those
// who have not said WithShared. It is for locks, not for semaphores.
func WithShared() LockOption { return func(s *lockSettings) { s.shared = true } }

// WithTimeout sets how long Acquire waits for a lock that somebody else holds.
// 0 tries once, portalocker.Forever waits until the context ends. The default is
// portalocker.DefaultTimeout.
func WithTimeout(d time.Duration) LockOption {
	return func(s *lockSettings) {
		s.timeout = d
		if d < 0 {
			s.fail(fmt.Errorf("WithTimeout(%v): a timeout cannot be negative; 0 tries once, portalocker.Forever has no end", d))
		}
	}
}

// WithCheckInterval sets how often the first waiter asks the server whether the
// holder has died; those behind it ask less often. A lock that is released is
// handed over at once, whatever the interval. The default is
// portalocker.DefaultCheckInterval.
func WithCheckInterval(d time.Duration) LockOption {
	return func(s *lockSettings) {
		s.checkInterval = d
		if d <= 0 {
			s.fail(fmt.Errorf("WithCheckInterval(%v): an interval must be longer than 0", d))
		}
	}
}

// WithFailWhenLocked makes Acquire fail at once if the lock is held, whatever the
// timeout. The default is false.
func WithFailWhenLocked(fail bool) LockOption {
	return func(s *lockSettings) { s.failWhenLocked = fail }
}

func lockDefaults(opts []LockOption) lockSettings {
	s := lockSettings{timeout: portalocker.DefaultTimeout, checkInterval: portalocker.DefaultCheckInterval}
	s.apply(opts)
	return s
}

func (s *lockSettings) apply(opts []LockOption) {
	for _, opt := range opts {
		opt(s)
	}
}

func (s *lockSettings) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

// onlyOnce says whether a lock that is held is an answer rather than a reason to
// wait.
func (s *lockSettings) onlyOnce() bool { return s.failWhenLocked || s.timeout == 0 }
