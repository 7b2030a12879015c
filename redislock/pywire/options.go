package pywire

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/portalocker/portalocker"
)

// DefaultUnavailableTimeout is how long a participant has for its answer, unless
// WithUnavailableTimeout says otherwise.
const DefaultUnavailableTimeout = time.Second

// The least leaves a process the time to be scheduled.
const (
	minUnavailableTimeout = 50 * time.Millisecond
	maxUnavailableTimeout = time.Hour
)

// Option changes how a lock behaves: in New always, in Acquire for that call. A bad
// value is reported by Acquire before it asks the server.
type Option func(*settings)

type settings struct {
	shared         bool
	timeout        time.Duration
	checkInterval  time.Duration
	unavailable    time.Duration
	failWhenLocked bool
	logger         *slog.Logger
	err            error // the first bad option
}

// WithShared makes a lock a reader's: readers hold it together, and exclude those
// who have not said WithShared. Python portalocker has readers since 4.0; an older
// one counts as somebody who has the lock alone.
func WithShared() Option { return func(s *settings) { s.shared = true } }

// WithTimeout sets how long Acquire waits for a lock that somebody else holds.
// 0 tries once, portalocker.Forever waits until the context ends. The default is
// portalocker.DefaultTimeout.
func WithTimeout(d time.Duration) Option {
	return func(s *settings) {
		s.timeout = d
		if d < 0 {
			s.fail(fmt.Errorf("WithTimeout(%v): a timeout cannot be negative; 0 tries once, portalocker.Forever has no end", d))
		}
	}
}

// WithCheckInterval sets how long to wait before the next attempt; each wait is
// between half of it and one and a half. A lock that was released is seen at the
// next attempt only. The default is portalocker.DefaultCheckInterval.
func WithCheckInterval(d time.Duration) Option {
	return func(s *settings) {
		s.checkInterval = d
		if d <= 0 {
			s.fail(fmt.Errorf("WithCheckInterval(%v): an interval must be longer than 0", d))
		}
	}
}

// WithFailWhenLocked makes Acquire fail as soon as it has found the lock held,
// whatever the timeout. Of several who try at once for a lock that is free, one gets
// it. The default is false.
func WithFailWhenLocked(fail bool) Option {
	return func(s *settings) { s.failWhenLocked = fail }
}

// WithUnavailableTimeout sets how long another participant has for its answer. One
// who has not answered by then is cut off. It is also how long a Lease counts as
// held without a sign of life from the server, so give all participants the same
// one, Python's unavailable_timeout too. The default is DefaultUnavailableTimeout; it is
// from 50 milliseconds to an hour.
func WithUnavailableTimeout(d time.Duration) Option {
	return func(s *settings) {
		s.unavailable = d
		if d < minUnavailableTimeout || d > maxUnavailableTimeout {
			s.fail(fmt.Errorf("WithUnavailableTimeout(%v): it is from %v to %v", d, minUnavailableTimeout, maxUnavailableTimeout))
		}
	}
}

// WithLogger sets where to tell of locks that are lost and of participants that are
// cut off, at level warn, and of what is said on the channel, at level debug. The
// default is nowhere.
func WithLogger(logger *slog.Logger) Option {
	return func(s *settings) { s.logger = logger }
}

func defaults(opts []Option) settings {
	s := settings{
		timeout:       portalocker.DefaultTimeout,
		checkInterval: portalocker.DefaultCheckInterval,
		unavailable:   DefaultUnavailableTimeout,
		logger:        slog.New(slog.DiscardHandler),
	}
	s.apply(opts)
	return s
}

func (s *settings) apply(opts []Option) {
	for _, opt := range opts {
		opt(s)
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
}

func (s *settings) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

// mode is what a participant is when it comes to the channel.
func (s *settings) mode() mode {
	if s.shared {
		return shared
	}
	return pending
}
