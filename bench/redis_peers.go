package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	bsm "github.com/bsm/redislock"
	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/redislock"
	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
	"github.com/redis/rueidis/rueidislock"
)

// The names of those that lock by Redis, as the table shows them.
const (
	oursRedis   = "portalocker/redislock"
	redsyncPeer = "redsync"
	bsmPeer     = "bsm/redislock"
	rueidisPeer = "rueidislock"
)

var redisPeers = []string{oursRedis, redsyncPeer, bsmPeer, rueidisPeer}

// redisTTL is after what time a lock of those who need one is free when its holder
// has died: redsync's own default, and given to bsm/redislock, which has none.
const redisTTL = 8 * time.Second

// redisClient is one client of somebody's library.
type redisClient interface {
	lock(name string) locker
	close() error
}

// redisOpen makes a client of who's library.
func redisOpen(who, addr string) (redisClient, error) {
	opts := &redis.Options{Addr: addr}
	switch who {
	case oursRedis:
		rdb := redis.NewClient(opts)
		return &oursClient{rdb, redislock.New(rdb)}, nil
	case redsyncPeer:
		rdb := redis.NewClient(opts)
		return &redsyncClient{rdb, redsync.New(goredis.NewPool(rdb))}, nil
	case bsmPeer:
		rdb := redis.NewClient(opts)
		return &bsmClient{rdb, bsm.New(rdb)}, nil
	case rueidisPeer:
		l, err := rueidislock.NewLocker(rueidislock.LockerOption{
			ClientOption: rueidis.ClientOption{InitAddress: []string{addr}},
			KeyMajority:  1, // one server decides, as with the others
			// NoLoopTracking stays off, as it is by default. It saves a holder a request
			// now and then, but with it a release at times woke nobody: in 3 of 16 runs
			// none of 2 or 8 clients had a turn within a second.
		})
		return &rueidisClient{l}, err
	}
	return nil, fmt.Errorf("nobody is called %q", who)
}

type oursClient struct {
	rdb *redis.Client
	*redislock.Client
}

func (c *oursClient) lock(name string) locker {
	return &oursRedisLock{lock: c.NewLock(name, redislock.WithTimeout(portalocker.Forever))}
}

func (c *oursClient) close() error { return errors.Join(c.Close(), c.rdb.Close()) }

type oursRedisLock struct {
	lock  *redislock.Lock
	lease *redislock.Lease
}

func (l *oursRedisLock) acquire(ctx context.Context) (err error) {
	l.lease, err = l.lock.Acquire(ctx)
	return err
}

func (l *oursRedisLock) release() error { return l.lease.Release(context.Background()) }

type redsyncClient struct {
	rdb *redis.Client
	rs  *redsync.Redsync
}

func (c *redsyncClient) lock(name string) locker {
	// Its own pauses between tries, but no end of them.
	return redsyncLock{c.rs.NewMutex(name, redsync.WithTries(1<<30), redsync.WithExpiry(redisTTL))}
}

func (c *redsyncClient) close() error { return c.rdb.Close() }

type redsyncLock struct{ *redsync.Mutex }

func (l redsyncLock) acquire(ctx context.Context) error { return l.LockContext(ctx) }

func (l redsyncLock) release() error {
	_, err := l.Unlock()
	return err
}

type bsmClient struct {
	rdb    *redis.Client
	client *bsm.Client
}

func (c *bsmClient) lock(name string) locker { return &bsmLock{client: c.client, name: name} }
func (c *bsmClient) close() error            { return c.rdb.Close() }

type bsmLock struct {
	client *bsm.Client
	name   string
	held   *bsm.Lock
}

func (l *bsmLock) acquire(ctx context.Context) (err error) {
	// It gives up after the TTL, unless the context has a deadline that is later.
	ctx, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	// It has no pauses of its own. These are the shorter ones of its examples.
	l.held, err = l.client.Obtain(ctx, l.name, redisTTL, &bsm.Options{RetryStrategy: bsm.LinearBackoff(100 * time.Millisecond)})
	return err
}

func (l *bsmLock) release() error { return l.held.Release(context.Background()) }

type rueidisClient struct{ locker rueidislock.Locker }

func (c *rueidisClient) lock(name string) locker { return &rueidisLock{locker: c.locker, name: name} }

func (c *rueidisClient) close() error {
	c.locker.Close()
	return nil
}

type rueidisLock struct {
	locker rueidislock.Locker
	name   string
	cancel context.CancelFunc
}

func (l *rueidisLock) acquire(ctx context.Context) (err error) {
	_, l.cancel, err = l.locker.WithContext(ctx, l.name)
	return err
}

func (l *rueidisLock) release() error {
	l.cancel()
	return nil
}
