package redislock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/portalocker/portalocker"

	"github.com/portalocker/portalocker/internal/cause"
	"github.com/portalocker/portalocker/internal/leased"
)

// Lock is a lock on a Redis server, exclusive or, with WithShared, for readers.
//
// It holds nothing itself: each Acquire is a holder of its own and gives a Lease.
// So it is safe for goroutines, and two that acquire it exclude each other.
type Lock struct{ mutex }

// mutex is what locks and semaphores are: a name, and a way to hold it.
type mutex struct {
	client   *Client
	name     string
	keys     []string
	permits  int // how many may hold a semaphore; 0 for a lock
	settings lockSettings
	err      error
}

// NewLock makes a lock of that name, up to 4,096 bytes of anything. It does not
// talk to the server; Acquire reports what is wrong with the name or the options.
func (c *Client) NewLock(name string, opts ...LockOption) *Lock {
	return &Lock{newMutex(c, name, opts)}
}

func newMutex(c *Client, name string, opts []LockOption) mutex {
	return mutex{client: c, name: name, keys: keysOf(name), settings: lockDefaults(opts), err: checkName(name)}
}

// Acquire takes the lock; options given here hold for this call. It waits in order
// of arrival, until the timeout or until ctx ends, and not at all with a timeout of
// 0 or WithFailWhenLocked(true). If it fails, nothing of it stays on the server.
//
// The error is a *portalocker.LockError. It is portalocker.ErrAlreadyLocked where
// somebody else has the lock, ErrUnavailable where the server could not be asked,
// ErrForeignPeers where a lock of Python portalocker, or of package pywire, has the name.
func (l *Lock) Acquire(ctx context.Context, opts ...LockOption) (*Lease, error) {
	return l.acquire(ctx, opts)
}

// Do acquires the lock, runs fn, and releases the lock, also when fn panics. fn's
// context ends with ctx, and when the lock is lost; the error is then ErrLost, and
// whatever fn says. If the lock is not to be had, fn does not run.
func (l *Lock) Do(ctx context.Context, fn func(ctx context.Context) error) error {
	return l.do(ctx, fn)
}

func (m *mutex) acquire(ctx context.Context, opts []LockOption) (*Lease, error) {
	a := &attempt{mutex: m, lockSettings: m.settings, ctx: ctx, began: time.Now()}
	a.lockSettings.apply(opts)
	err := cmp.Or(m.client.err, m.err, a.lockSettings.err)
	switch {
	case err != nil:
	case a.permits > 0 && a.shared:
		err = errors.New("WithShared is for locks, not for semaphores")
	case ctx == nil:
		err = errors.New("the context is nil; use context.Background where there is none")
	case ctx.Err() != nil:
		err = cause.Of(ctx)
	}
	if err != nil {
		return nil, &portalocker.LockError{Op: "acquire", Path: m.name, Err: err}
	}
	if !a.onlyOnce() && a.timeout < portalocker.Forever/2 { // what is longer would overflow the sum
		a.end = a.began.Add(a.timeout)
		timer := time.NewTimer(a.timeout)
		defer timer.Stop()
		a.expired = timer.C
	}
	return a.run()
}

// request is what the scripts need to know of who asks: "mode limit session pid
// host".
func (a *attempt) request(s *session) string {
	mode := "exclusive"
	switch {
	case a.permits > 0:
		mode = "permit"
	case a.shared:
		mode = "shared"
	}
	return fmt.Sprintf("%s %d %s %s", mode, a.permits, s.key, a.client.identity)
}

func (m *mutex) do(ctx context.Context, fn func(context.Context) error) error {
	l, err := m.acquire(ctx, nil)
	if err != nil {
		return err
	}
	return leased.Do(ctx, l, fn)
}
