package pywire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/portalocker/portalocker/internal/redisconn"
)

// minAnswer is the least time that the server has for an answer.
const minAnswer = 3 * time.Second

// link is all that one Acquire, and the Lease that comes of it, has to do with the
// server: a pool for commands, and the subscriptions. It can be cut in one moment.
// go-redis alone lets a command, and a handshake, run to its deadline when the
// context is cancelled.
type link struct {
	*redisconn.Conn
	dial   func(context.Context, string, string) (net.Conn, error)
	ctx    context.Context // ends with the link
	cancel context.CancelFunc

	mu   sync.Mutex
	open map[*tracked]struct{}
	cut  bool
}

// tracked is a connection of a link.
type tracked struct {
	net.Conn
	link *link
}

// sysTracked is one that go-redis can ask, before it uses it again, whether it is
// still open.
type sysTracked struct {
	*tracked
	syscall.Conn
}

func newLink(rdb *redis.Client, unavailable time.Duration) (*link, error) {
	opts := *rdb.Options()
	l := &link{dial: opts.Dialer, open: map[*tracked]struct{}{}}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	opts.Dialer = l.connect
	opts.ClientSideCache, opts.ClientSideCacheConfig = nil, nil
	opts.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	pattern := redis.NewClient(&opts) // for its options only: it never connects
	defer func() { _ = pattern.Close() }()
	var err error
	if l.Conn, err = redisconn.New(pattern, max(unavailable, minAnswer)); err != nil {
		l.cancel()
		return nil, err
	}
	return l, nil
}

// connect is the dialer of the link.
func (l *link) connect(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	conn, err := l.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	t := &tracked{Conn: conn, link: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	l.open[t] = struct{}{}
	if raw, ok := conn.(syscall.Conn); ok {
		return sysTracked{t, raw}, nil
	}
	return t, nil
}

// abort closes every connection, and lets no new one come.
func (l *link) abort() {
	l.cancel()
	l.mu.Lock()
	l.cut = true
	open := l.open
	l.open = nil
	l.mu.Unlock()
	for t := range open {
		_ = t.Conn.Close()
	}
}

// Explain is Conn.Explain, with advice for this package where a right is lacking: it
// needs other ones than package redislock.
func (l *link) Explain(err error) error {
	if redis.IsPermissionError(err) && !errors.Is(err, redisconn.ErrUnavailable) {
		return fmt.Errorf("%w: %s: its ACL forbids that to this user: docs/python.md has the list of what pywire must be allowed (%w)", redisconn.ErrUnavailable, l.Address(), err)
	}
	return l.Conn.Explain(err)
}

// close ends the link and what go-redis keeps for it.
func (l *link) close() {
	l.abort()
	_ = l.Conn.Close() // its connections are closed already
}

func (t *tracked) Close() error {
	t.link.mu.Lock()
	delete(t.link.open, t)
	t.link.mu.Unlock()
	return t.Conn.Close()
}
