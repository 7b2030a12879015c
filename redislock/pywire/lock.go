package pywire

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/portalocker/portalocker"

	"github.com/portalocker/portalocker/internal/cause"
	"github.com/portalocker/portalocker/internal/leased"
)

// Lock is a lock on a channel of a Redis server, exclusive or, with WithShared, for
// readers. It is a portalocker.Locker.
//
// It holds nothing itself: each Acquire is a participant of its own, with connections
// of its own, and gives a Lease. So it is safe for goroutines, two that acquire it
// exclude each other, and there is nothing to close.
type Lock struct {
	rdb      *redis.Client
	channel  string
	settings settings
	err      error
}

var _ portalocker.Locker = (*Lock)(nil)

// maxChannel is the longest name of a channel.
const maxChannel = 4096

// New makes a lock of the name that Python's RedisLock has as its channel: up to
// 4,096 printable characters of ASCII without spaces, since connections are named by
// it. It uses the options of rdb (address, credentials, TLS, dialer), not its
// connections or hooks; rdb is a *redis.Client, also one of redis.NewFailoverClient,
// but not a cluster's. New does not talk to the server; Acquire reports what is wrong
// with rdb, the name or the options.
func New(rdb redis.UniversalClient, channel string, opts ...Option) *Lock {
	l := &Lock{channel: channel, settings: defaults(opts), err: checkChannel(channel)}
	switch rdb := rdb.(type) {
	case *redis.Client:
		l.rdb = rdb
	case *redis.ClusterClient:
		l.err = errors.New("the RedisLock of Python portalocker does not work on a cluster, so this lock does not: use one server, or package redislock")
	default:
		l.err = fmt.Errorf("a %T cannot be used: make a client with redis.NewClient or NewFailoverClient", rdb)
	}
	return l
}

// Acquire takes the lock; options given here hold for this call. It waits until the
// timeout or until ctx ends; with a timeout of 0 or WithFailWhenLocked(true) not for a
// lock that is held, but for the answers of who may hold it, for up to some unavailable
// timeouts. If it fails, nothing of it stays on the server.
//
// The error is a *portalocker.LockError. It is portalocker.ErrAlreadyLocked where
// somebody else has the lock, redislock.ErrUnavailable where the server could not be
// asked.
func (l *Lock) Acquire(ctx context.Context, opts ...Option) (*Lease, error) {
	a := &acquisition{lock: l, settings: l.settings, caller: ctx, began: time.Now()}
	a.apply(opts)
	err := cmp.Or(l.err, a.settings.err)
	switch {
	case err != nil:
	case ctx == nil:
		err = errors.New("the context is nil; use context.Background where there is none")
	case ctx.Err() != nil:
		err = cause.Of(ctx)
	}
	if err != nil {
		return nil, &portalocker.LockError{Op: "acquire", Path: l.channel, Err: err}
	}
	return a.run()
}

// Do acquires the lock, runs fn, and releases the lock, also when fn panics. fn's
// context ends with ctx, and when the lock is lost; the error is then
// redislock.ErrLost, and whatever fn says. If the lock is not to be had, fn does not
// run.
func (l *Lock) Do(ctx context.Context, fn func(ctx context.Context) error) error {
	lease, err := l.Acquire(ctx)
	if err != nil {
		return err
	}
	return leased.Do(ctx, lease, fn)
}

// checkChannel says whether Redis takes the name for a connection: CLIENT SETNAME
// refuses spaces, newlines and special characters.
func checkChannel(name string) error {
	switch {
	case name == "":
		return errors.New("the name of the channel is empty")
	case len(name) > maxChannel:
		return fmt.Errorf("the name of the channel has %d bytes, %d are allowed", len(name), maxChannel)
	case strings.ContainsFunc(name, func(r rune) bool { return r < '!' || r > '~' }):
		return errors.New("the name of the channel has a character that Redis does not allow in the name of a connection: only printable ASCII without spaces will do, in Python too")
	}
	return nil
}
