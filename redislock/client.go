package redislock

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/portalocker/portalocker/internal/cause"
	"github.com/portalocker/portalocker/internal/redisconn"
)

// Client makes locks on one Redis server, or one cluster. A program needs one per
// server; all its locks share a session, which is opened when the first one is
// acquired. (In a cluster there is a session for each name in use.) It is safe for
// goroutines.
type Client struct {
	conn     *redisconn.Conn
	settings clientSettings
	err      error  // why no lock can be acquired
	host     string // this machine's name
	identity string // "PID HOST", for others to see

	mu       sync.Mutex
	sessions map[string]*opening // by what they are for
	closed   bool
	done     chan struct{} // closed by Close
	tasks    sync.WaitGroup
}

// opening is a session, or one in the making.
type opening struct {
	ready   chan struct{} // closed when the next two are set
	session *session
	err     error
}

// maxAnswer is how long a server may take for an answer, however long a lease lasts.
const maxAnswer = 5 * time.Second

// New makes a Client that talks to the server of rdb: a *redis.Client, also one of
// redis.NewFailoverClient, or a *redis.ClusterClient. It uses the options of rdb
// (address, credentials, TLS, dialer), not its connections or hooks. rdb stays
// yours: close it after the Client. New does not talk to the server; Acquire
// reports what is wrong with rdb or the options.
func New(rdb redis.UniversalClient, opts ...Option) *Client {
	c := &Client{
		settings: clientSettings{ttl: DefaultLeaseTTL, liveness: Connected, idle: idleAfter},
		sessions: map[string]*opening{},
		done:     make(chan struct{}),
	}
	for _, opt := range opts {
		opt(&c.settings)
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "unknown"
	}
	c.host = host
	c.identity = fmt.Sprintf("%d %s", os.Getpid(), escape(host))
	if c.err = c.settings.err; c.err == nil {
		c.conn, c.err = redisconn.New(rdb, min(c.settings.ttl/3, maxAnswer))
	}
	return c
}

// Close releases every lock that is held through c, ends the waits for others with
// ErrClosed, and closes the connections. It waits for the server's answers, but not
// longer than the TTL of a lease. What could not be released is free when
// the server sees the connection end, or when the lease runs out.
func (c *Client) Close() error {
	c.mu.Lock()
	if c.closed || c.conn == nil {
		c.closed = true
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	close(c.done)
	var all []*opening
	for _, o := range c.sessions {
		all = append(all, o)
	}
	c.mu.Unlock()
	var closing sync.WaitGroup
	for _, o := range all {
		closing.Go(func() {
			if <-o.ready; o.session != nil {
				o.session.close()
			}
		})
	}
	closing.Wait()
	err := c.conn.Close()
	c.tasks.Wait()
	return err
}

func (c *Client) isClosed() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// session gives the session for an attempt, and opens one where there is none.
func (c *Client) session(a *attempt) (*session, error) {
	key := "" // one for all
	if c.conn.Cluster() {
		key = a.name
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, ErrClosed
	}
	o := c.sessions[key]
	if o == nil {
		o = &opening{ready: make(chan struct{})}
		c.sessions[key] = o
		c.tasks.Go(func() { c.open(key, o) })
	}
	c.mu.Unlock()
	select {
	case <-o.ready:
		return o.session, o.err
	case <-a.ctx.Done():
		return nil, cause.Of(a.ctx)
	case <-a.expired:
		return nil, errNoAnswer
	}
}

// open opens a session, and keeps the record of it until it has ended.
func (c *Client) open(key string, o *opening) {
	// Longer than one answer may take, for it takes several.
	ctx, cancel := context.WithTimeout(context.Background(), 2*c.conn.Answer())
	id := strings.ToLower(rand.Text())
	s, err := openSession(ctx, c.conn, &c.settings, sessionKey(id, key, c.conn.Cluster()))
	cancel()
	if err != nil {
		c.forget(key, o)
		o.err = c.conn.Explain(err)
		close(o.ready)
		return
	}
	o.session = s
	close(o.ready)
	<-s.done
	c.forget(key, o)
	s.tasks.Wait()
}

// forget makes the next attempt open a new session.
func (c *Client) forget(key string, o *opening) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sessions[key] == o {
		delete(c.sessions, key)
	}
}
