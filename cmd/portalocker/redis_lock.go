package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/redislock"
)

// remote is a lock on a server: it can be lost while it is held.
type remote interface {
	lock

	// held is the lock after acquire.
	held() lease

	// holders names some of those who have the lock, nobody if the server does not
	// tell at once.
	holders() []string

	// close is called at the end, whatever has come of the lock.
	close()
}

// lease is a lock on a server that is held.
type lease interface {
	Release(ctx context.Context) error

	// Context ends when the lock is lost or released.
	Context() context.Context

	// Err says whether the lock is lost at this moment, and why.
	Err() error
}

// redisLock is a lock or a semaphore of package redislock.
type redisLock struct {
	name   string
	server *server
	locker interface {
		Acquire(ctx context.Context, opts ...redislock.LockOption) (*redislock.Lease, error)
	}
	lease *redislock.Lease
}

func newRedisLock(o *runOptions) (lock, error) {
	s, err := o.redis.open(redislock.WithLeaseTTL(time.Duration(o.leaseTTL)))
	if err != nil {
		return nil, err
	}
	l := &redisLock{name: o.lock, server: s}
	switch {
	case o.slots > 0:
		l.locker = s.locks.NewSemaphore(o.lock, int(o.slots))
	case o.shared:
		l.locker = s.locks.NewLock(o.lock, redislock.WithShared())
	default:
		l.locker = s.locks.NewLock(o.lock)
	}
	return l, nil
}

func (l *redisLock) acquire(ctx context.Context, timeout time.Duration) (err error) {
	l.lease, err = l.locker.Acquire(ctx, redislock.WithTimeout(timeout))
	switch {
	case err == nil, errors.Is(err, portalocker.ErrAlreadyLocked), errors.Is(err, redislock.ErrForeignPeers):
		return err
	}
	return refused{err}
}

// refused is every reason of a server, or of the way to it, for which there is no
// lock and will be none by waiting: a certificate, for instance.
type refused struct{ error }

func (r refused) Unwrap() error { return r.error }

func (r refused) Is(target error) bool { return target == redislock.ErrUnavailable }

func (l *redisLock) held() lease { return l.lease }

func (l *redisLock) file() *os.File { return nil }

func (l *redisLock) environment() []string {
	return []string{"PORTALOCKER_LOCK=" + l.name, fmt.Sprintf("PORTALOCKER_FENCE=%d", l.lease.Fence())}
}

func (l *redisLock) files() []string { return nil }

func (l *redisLock) holders() []string {
	const patience = time.Second // whoever waits for the end of this may have pressed Ctrl-C
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := l.server.locks.Status(ctx, l.name)
	if err != nil {
		return nil // the wait itself will tell what is wrong, if it is
	}
	return names(s.Owners, time.Now())
}

func (l *redisLock) release() error { return l.lease.Release(context.Background()) }

func (l *redisLock) close() { l.server.close() }

// redisConflicts are about options that go with --redis only, or never.
func (o *runOptions) redisConflicts(given func(option string) bool) error {
	if !o.redis.given {
		if o.pywire {
			return usageError("--pywire goes with --redis: it is about Python's locks on a server")
		}
		for _, option := range []string{"lease-ttl", "kill-after"} {
			if given(option) {
				return usageError("--%s goes with --redis: only a lock on a server can be lost", option)
			}
		}
		return nil
	}
	const shortest = 100 * time.Millisecond // redislock.WithLeaseTTL
	if time.Duration(o.leaseTTL) < shortest {
		return usageError("--lease-ttl: a lease lasts at least %v", shortest)
	}
	const longest = 4096 // redislock.Client.NewLock
	if len(o.lock) > longest {
		return usageError("LOCK has %d bytes; on a server %d are allowed", len(o.lock), longest)
	}
	for _, never := range []struct{ option, reason string }{
		{"temp", "there is no file to be removed"},
		{"pid", "there is no file for the PID; 'portalocker redis status' tells it"},
		{"directory", "there are no files"},
		{"mechanism", "it is about locks on files"},
		{"close", "there is no open file to be passed on"},
		{"no-fork", "the lock dies with portalocker, which must stay"},
	} {
		if given(never.option) {
			return usageError("--redis and --%s exclude each other: %s", never.option, never.reason)
		}
	}
	if o.pywire {
		return o.pywireConflicts(given)
	}
	return nil
}

// releaseStatus is the exit status after a release that went wrong, of a command
// that ended with a status.
func releaseStatus(err error, status int) int {
	switch {
	case errors.Is(err, redislock.ErrLost):
		return statusLost // the command may have run without the lock
	case status != 0:
		return status
	case errors.Is(err, redislock.ErrUnavailable):
		return statusNoServer
	}
	return statusOS
}
