package redislock_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/portalocker/portalocker/internal/redistest"
	"github.com/portalocker/portalocker/redislock"
)

// breach is a fault of the network that one command meets: its connection is reset,
// before its answer has come, or before the server has got it.
type breach struct {
	command  atomic.Pointer[string] // a text in it; nil when there is no fault to come
	keeps    bool                   // the command, for the server to get later
	met      atomic.Int32           // how often a connection had such a command to send since it was armed
	lateSend func()                 // if it was kept
}

func (b *breach) arm(command string) { b.command.Store(&command) }

// breached is a connection of a client that a breach may meet.
type breached struct {
	net.Conn
	*breach
	reset atomic.Bool
	lost  sync.Once // the answer
}

func (c *breached) Write(p []byte) (int, error) {
	if command := c.command.Load(); command != nil && bytes.Contains(p, []byte(*command)) {
		if c.met.Add(1) == 1 {
			c.reset.Store(true)
			if c.keeps {
				kept := bytes.Clone(p)
				c.lateSend = func() {
					_, _ = c.Conn.Write(kept)
					_, _ = c.Conn.Read(make([]byte, 1000))
					_ = c.Conn.Close()
				}
				return len(p), nil
			}
		}
	}
	return c.Conn.Write(p)
}

func (c *breached) Read(p []byte) (int, error) {
	if !c.reset.Load() {
		return c.Conn.Read(p)
	}
	if !c.keeps {
		c.lost.Do(func() { _, _ = c.Conn.Read(p) })
	}
	return 0, io.EOF
}

func (c *breached) Close() error {
	if c.reset.Load() && c.keeps {
		return nil // the network has it still
	}
	return c.Conn.Close()
}

func clusterBehind(t *testing.T, b *breach) *redislock.Client {
	t.Helper()
	cluster := redistest.StartCluster(t)
	rdb := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: cluster.Addrs(),
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &breached{Conn: c, breach: b}, nil
		},
	})
	t.Cleanup(func() { _ = rdb.Close() })
	c := newClientOf(t, rdb)
	release(t, acquire(t, c.NewLock("x"))) // connections and scripts are there
	return c
}

// TestClusterSendsOnce: go-redis' client of a cluster sends again what it had no answer
// to. A release that was done would then say that the lock had been lost.
func TestClusterSendsOnce(t *testing.T) {
	t.Parallel()
	var b breach
	c := clusterBehind(t, &b)
	l := acquire(t, c.NewLock("x"))
	b.arm(redislock.ReleaseScript.Hash())
	err := l.Release(t.Context())
	is(t, err, redislock.ErrUnavailable)
	if errors.Is(err, redislock.ErrLost) {
		t.Errorf("%v, and it was not", err)
	}
}

// TestClusterLateArrival: a request that arrives after it was given up makes nobody an
// owner. If a second one had been sent, nothing would be known of the first.
func TestClusterLateArrival(t *testing.T) {
	t.Parallel()
	b := breach{keeps: true}
	c := clusterBehind(t, &b)
	b.arm(redislock.AcquireScript.Hash())
	l, err := c.NewLock("x").Acquire(t.Context())
	if err == nil {
		release(t, l)
	} else {
		is(t, err, redislock.ErrUnavailable)
	}
	b.lateSend()
	if s := status(t, c, "x"); len(s.Owners) > 0 {
		t.Errorf("nobody holds it but %+v", s.Owners)
	}
}
