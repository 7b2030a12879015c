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
	backs   chan struct{}          // the same for those that give something back
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
		c.share(&opts.PoolSize, opts.MaxActiveConns)
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
		c.share(&opts.PoolSize, opts.MaxActiveConns)
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

// share sets apart connections for those who give something back, and one for who needs
// not ask for a turn. A pool must not be larger than the user's MaxActiveConns (0 for
// none): go-redis does not wait for a connection beyond those, but fails.
func (c *Conn) share(poolSize *int, maxActive int) {
	turns := max(*poolSize, 1)
	*poolSize = 2*turns + 1
	if maxActive > 0 && *poolSize > maxActive {
		*poolSize, turns = maxActive, max((maxActive-1)/2, 1)
	}
	c.turns, c.backs = make(chan struct{}, turns), make(chan struct{}, turns)
}

// Turn is for commands of which thousands may want to be sent at a time. Who sends an
// element may send a command, and then calls EndTurn. The pool would make them wait,
// too, but in the time for an answer, and with those on which leases depend.
func (c *Conn) Turn() chan<- struct{} { return c.turns }

// EndTurn lets the next one send.
func (c *Conn) EndTurn() { <-c.turns }

// Back is Turn for commands that give something back: they must not wait for those who
// want something, nor keep leases from being renewed.
func (c *Conn) Back() chan<- struct{} { return c.backs }

// EndBack lets the next one give back.
func (c *Conn) EndBack() { <-c.backs }

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

// EvalSha sends a script once, as Eval does. A redis.ClusterClient repeats what it had no
// answer to, whatever its MaxRetries; so it has only what was refused unexecuted, with the
// way to another server.
func (c *Conn) EvalSha(ctx context.Context, sha1 string, keys []string, args ...any) *redis.Cmd {
	return c.once(ctx, keys, func(to redis.Scripter) *redis.Cmd { return to.EvalSha(ctx, sha1, keys, args...) })
}

// Eval sends a script once.
func (c *Conn) Eval(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	return c.once(ctx, keys, func(to redis.Scripter) *redis.Cmd { return to.Eval(ctx, script, keys, args...) })
}

func (c *Conn) once(ctx context.Context, keys []string, send func(redis.Scripter) *redis.Cmd) *redis.Cmd {
	if c.cluster == nil || len(keys) == 0 {
		return send(c.UniversalClient)
	}
	node, err := c.cluster.MasterForKey(ctx, keys[0])
	if err != nil {
		cmd := redis.NewCmd(ctx)
		cmd.SetErr(err)
		return cmd
	}
	cmd := send(node)
	_, moved := redis.IsMovedError(cmd.Err())
	_, ask := redis.IsAskError(cmd.Err())
	switch {
	case moved, ask, redis.IsReadOnlyError(cmd.Err()):
		c.cluster.ReloadState(ctx)
		return send(c.UniversalClient)
	case cmd.Err() != nil && !Final(cmd.Err()):
		c.cluster.ReloadState(ctx) // the server may have a successor
	}
	return cmd
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
