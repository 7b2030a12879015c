package redislock_test

import (
	"bytes"
	"context"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// wires are the connections of a process.
type wires struct {
	mu  sync.Mutex
	all []*wire
}

// wire is a connection that can become deaf: what comes in is dropped, even the
// end. That is what the client sees if only one direction of a link breaks, or a
// firewall forgets the connection and swallows the reset.
type wire struct {
	net.Conn
	mu         sync.Mutex
	subscribed bool
	deaf       bool
	deadline   time.Time // for reading; zero for never
	closed     chan struct{}
	once       sync.Once
}

func (w *wires) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	one := &wire{Conn: c, closed: make(chan struct{})}
	w.mu.Lock()
	w.all = append(w.all, one)
	w.mu.Unlock()
	return one, nil
}

// deafen makes the connections of the sessions deaf that there are now.
func (w *wires) deafen() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range w.all {
		one.mu.Lock()
		one.deaf = one.subscribed
		one.mu.Unlock()
	}
	w.all = nil // those that were not subscribed never will be
}

func (w *wire) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("subscribe\r\n")) {
		w.mu.Lock()
		w.subscribed = true
		w.mu.Unlock()
	}
	return w.Conn.Write(p)
}

func (w *wire) Read(p []byte) (int, error) {
	for {
		n, err := w.Conn.Read(p)
		w.mu.Lock()
		deaf := w.deaf
		w.mu.Unlock()
		switch {
		case !deaf:
			return n, err
		case err != nil:
			return 0, w.silence()
		}
	}
}

// silence is how a Read ends to which nothing comes, not even the end.
func (w *wire) silence() error {
	w.mu.Lock()
	deadline := w.deadline
	w.mu.Unlock()
	var expired <-chan time.Time
	if !deadline.IsZero() {
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case <-w.closed:
		return net.ErrClosed
	case <-expired:
		return os.ErrDeadlineExceeded
	}
}

// SetReadDeadline counts for a deaf connection, too: else one that becomes deaf while
// it is greeted would keep its client for ever.
func (w *wire) SetReadDeadline(t time.Time) error {
	w.mu.Lock()
	w.deadline = t
	w.mu.Unlock()
	return w.Conn.SetReadDeadline(t)
}

// SyscallConn lets go-redis see whether a connection of its pool is still open.
func (w *wire) SyscallConn() (syscall.RawConn, error) {
	return w.Conn.(*net.TCPConn).SyscallConn()
}

func (w *wire) Close() error {
	w.once.Do(func() { close(w.closed) })
	return w.Conn.Close()
}
