package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/redislock/pywire"
)

// pywireLock is a lock of package pywire, which Python portalocker's RedisLock of
// that name excludes.
type pywireLock struct {
	name   string
	server *server
	lock   *pywire.Lock
	lease  *pywire.Lease
}

func newPywireLock(o *runOptions) (lock, error) {
	s, err := o.redis.open()
	if err != nil {
		return nil, err
	}
	if s.url.cluster() {
		s.close()
		return nil, usageError("--pywire and a cluster exclude each other: Python's RedisLock does not work there")
	}
	var opts []pywire.Option
	if o.shared {
		opts = append(opts, pywire.WithShared())
	}
	return &pywireLock{name: o.lock, server: s, lock: pywire.New(s.client, o.lock, opts...)}, nil
}

func (l *pywireLock) acquire(ctx context.Context, timeout time.Duration) (err error) {
	l.lease, err = l.lock.Acquire(ctx, pywire.WithTimeout(timeout))
	if err == nil || errors.Is(err, portalocker.ErrAlreadyLocked) {
		return err
	}
	return refused{err}
}

func (l *pywireLock) held() lease { return l.lease }

func (l *pywireLock) file() *os.File { return nil }

// environment has an empty fence: that of another lock, around this one, would be
// taken for this one's.
func (l *pywireLock) environment() []string {
	return []string{"PORTALOCKER_LOCK=" + l.name, "PORTALOCKER_FENCE="}
}

func (l *pywireLock) files() []string { return nil }

// holders are not known: the protocol tells how many there are, which is in the error
// of acquire, and a random id of each.
func (l *pywireLock) holders() []string { return nil }

func (l *pywireLock) release() error { return l.lease.Release(context.Background()) }

func (l *pywireLock) close() { l.server.close() }

// pywireConflicts are about --pywire, given together with --redis.
func (o *runOptions) pywireConflicts(given func(option string) bool) error {
	for _, never := range []struct{ option, reason string }{
		{"slots", "Python has no semaphore on a server"},
		{"lease-ttl", "the protocol has no leases; a holder that does not answer for a second is cut off"},
	} {
		if given(never.option) {
			return usageError("--pywire and --%s exclude each other: %s", never.option, never.reason)
		}
	}
	// pywire.New: connections are named by it.
	if strings.ContainsFunc(o.lock, func(r rune) bool { return r < '!' || r > '~' }) {
		return usageError("with --pywire LOCK is of printable ASCII without spaces: Redis does not take other names, of Python neither")
	}
	return nil
}
