// Package redisconn is how the Redis locks talk to a server: commands that are
// sent once and answered in time or not at all, subscriptions that do not come
// back by themselves, and errors that say what to do.
package redisconn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Conn is a connection pool of its own to the server of a user's client.
//
// It has the user's address and credentials, but not the user's retries: go-redis
// repeats a command whose answer it missed, and a lock must know whether it asked
// once or twice. And it keeps to deadlines, which go-redis does only when told.
type Conn struct {
	redis.UniversalClient
	cluster *redis.ClusterClient // nil for a single server
	single  *redis.Client        // nil for a cluster
	answer  time.Duration
	turns   chan struct{}          // has an element for each command of many that is on its way
	master  atomic.Pointer[string] // where the sentinels' master was last; nil without sentinels
}

// underSentinels is what go-redis has for an address where sentinels know it.
const underSentinels = "FailoverClient"

// New makes a Conn with the options of rdb, which stays the user's. A server that
// has not answered a command after the given time counts as unreachable.
func New(rdb redis.UniversalClient, answer time.Duration) (*Conn, error) {
	c := &Conn{answer: answer}
	switch rdb := rdb.(type) {
	case *redis.Client:
		opts := *rdb.Options()
		adjust(&opts, answer)
		c.share(&opts.PoolSize)
		if opts.Addr == underSentinels {
			opts.Dialer = c.noteMaster(opts.Dialer)
		}
		c.single = redis.NewClient(&opts)
		c.UniversalClient = c.single
	case *redis.ClusterClient:
		opts := *rdb.Options()
		opts.MaxRetries = -1
		opts.ContextTimeoutEnabled = true
		opts.DialTimeout, opts.ReadTimeout, opts.WriteTimeout = answer, answer, answer
		opts.PoolTimeout = answer
		opts.DialerRetries = 1
		opts.MinIdleConns = 0
		c.share(&opts.PoolSize)
		opts.ReadOnly, opts.RouteByLatency, opts.RouteRandomly = false, false, false
		opts.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
		c.cluster = redis.NewClusterClient(&opts)
		c.UniversalClient = c.cluster
	default:
		return nil, fmt.Errorf("a %T cannot be used: make a client with redis.NewClient, NewFailoverClient, NewClusterClient or NewUniversalClient", rdb)
	}
	return c, nil
}

// adjust makes the options of a user's client into those of a Conn.
func adjust(opts *redis.Options, answer time.Duration) {
	opts.MaxRetries = -1
	opts.ContextTimeoutEnabled = true
	opts.DialTimeout, opts.ReadTimeout, opts.WriteTimeout = answer, answer, answer
	opts.PoolTimeout = answer
	opts.DialerRetries = 1
	opts.MinIdleConns = 0
	opts.ClientSideCache, opts.ClientSideCacheConfig = nil, nil
	opts.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

// share sets apart half of the connections for those who need not ask for a turn.
func (c *Conn) share(poolSize *int) {
	c.turns = make(chan struct{}, max(*poolSize, 1))
	*poolSize = 2 * cap(c.turns)
}

// Turn is for commands of which thousands may want to be sent at a time. Who sends an
// element may send a command, and then calls EndTurn. The pool would make them wait,
// too, but in the time for an answer, and with those on which leases depend.
func (c *Conn) Turn() chan<- struct{} { return c.turns }

// EndTurn lets the next one send.
func (c *Conn) EndTurn() { <-c.turns }

// Cluster says whether the server is a cluster.
func (c *Conn) Cluster() bool { return c.cluster != nil }

// Answer is the time that New was given.
func (c *Conn) Answer() time.Duration { return c.answer }

// Address is where the server is, for messages; it never has a password.
func (c *Conn) Address() string {
	switch {
	case c.single != nil && c.single.Options().Addr != underSentinels:
		return c.single.Options().Addr
	case c.single != nil:
		if addr := c.master.Load(); addr != nil {
			return *addr
		}
		return "the master that the sentinels name"
	}
	if addrs := c.cluster.Options().Addrs; len(addrs) > 0 {
		return "cluster " + addrs[0]
	}
	return "a cluster"
}

// Node is the client of the server that decides about a key.
func (c *Conn) Node(ctx context.Context, key string) (*redis.Client, error) {
	if c.single != nil {
		return c.single, nil
	}
	return c.cluster.MasterForKey(ctx, key)
}

// Masters calls f for each server that has keys, one after the other.
func (c *Conn) Masters(ctx context.Context, f func(ctx context.Context, node *redis.Client) error) error {
	if c.single != nil {
		return f(ctx, c.single)
	}
	one := make(chan struct{}, 1)
	return c.cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		one <- struct{}{}
		defer func() { <-one }()
		return f(ctx, node)
	})
}

// noteMaster is a dialer that remembers where it has led.
func (c *Conn) noteMaster(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err == nil {
			at := conn.RemoteAddr().String()
			c.master.Store(&at)
		}
		return conn, err
	}
}

// dialOnce is a dialer that works once: go-redis connects again by itself, and a
// lock that lives by its connection must learn that it broke.
func dialOnce(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	var used atomic.Bool
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if used.Swap(true) {
			return nil, errLost
		}
		return dial(ctx, network, addr)
	}
}

// errLost keeps go-redis from connecting again.
var errLost = errors.New("the connection is lost")
