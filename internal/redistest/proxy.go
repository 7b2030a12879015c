package redistest

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Proxy is a TCP proxy that breaks connections in the ways a network does.
type Proxy struct {
	listener net.Listener
	target   string
	context  context.Context // ends with the proxy
	cancel   context.CancelFunc
	running  sync.WaitGroup // every goroutine of the proxy
	delay    atomic.Int64   // a time.Duration

	mu       sync.Mutex
	links    map[*link]struct{} // the open ones
	refusing bool               // new connections are reset
	halfOpen bool               // new connections are swallowed
}

// link is a connection through the proxy: the client's and, once it is there,
// the proxy's own to the target.
type link struct {
	client *net.TCPConn
	closed chan struct{} // closed together with the connections

	severed atomic.Bool   // nothing passes any more
	passing [2]sync.Mutex // held while bytes pass, one for each direction
	mu      sync.Mutex    // guards server, and closing
	server  *net.TCPConn  // nil until it is there
}

// NewProxy listens on a free port for connections to target, a host:port, until
// the end of the test.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	p, err := ListenProxy(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// ListenProxy is NewProxy for programs that are no tests. Its end is Close.
func ListenProxy(target string) (*Proxy, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: l, target: target, links: make(map[*link]struct{})}
	p.context, p.cancel = context.WithCancel(context.Background())
	p.running.Go(p.accept)
	return p, nil
}

// Addr is the host:port of the proxy.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Connections is how many connections the proxy has open.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// Cut resets all open connections, on both sides. New ones work.
func (p *Proxy) Cut() {
	for _, l := range p.open() {
		p.end(l, true)
	}
}

// Refuse says whether new connections are reset at once. Open ones stay.
func (p *Proxy) Refuse(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusing = on
}

// HalfOpen is a pulled cable. Once it has returned, nothing passes through the
// connections that are open, and new ones get no answer; but none is closed, not
// even when one side closes its end.
func (p *Proxy) HalfOpen() {
	p.mu.Lock()
	p.halfOpen = true
	p.mu.Unlock()
	for _, l := range p.open() {
		l.sever()
	}
}

// Heal undoes Refuse and HalfOpen for new connections. Those that were open, or
// came, while the cable was pulled stay dead.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusing, p.halfOpen = false, false
}

// Delay has every chunk of bytes wait that long, in each direction, from now on.
func (p *Proxy) Delay(d time.Duration) { p.delay.Store(int64(d)) }

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			if p.context.Err() != nil {
				return
			}
			continue // such as a client that left before it was accepted
		}
		l := &link{client: c.(*net.TCPConn), closed: make(chan struct{})}
		p.mu.Lock()
		refused := p.refusing || p.context.Err() != nil
		l.severed.Store(p.halfOpen)
		if !refused {
			p.links[l] = struct{}{}
			p.running.Go(func() { p.serve(l) })
		}
		p.mu.Unlock()
		if refused {
			l.close(true)
		}
	}
}

// serve is the life of a connection.
func (p *Proxy) serve(l *link) {
	if l.severed.Load() {
		<-l.closed // nothing of it is read: its kernel takes what it sends
		return
	}
	c, err := new(net.Dialer).DialContext(p.context, "tcp", p.target)
	if err != nil {
		p.end(l, true)
		return
	}
	if !l.attach(c.(*net.TCPConn)) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.pump(l, l.client, l.server, &l.passing[0]) })
	both.Go(func() { p.pump(l, l.server, l.client, &l.passing[1]) })
	both.Wait()
	p.end(l, false)
}

// pump passes bytes on in one direction, until their end or that of the link.
func (p *Proxy) pump(l *link, from, to *net.TCPConn, passing *sync.Mutex) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if d := time.Duration(p.delay.Load()); d > 0 {
			l.wait(d)
		}
		err = l.pass(buffer[:n], err, to, passing)
		switch {
		case err == nil:
			continue
		case l.severed.Load():
			<-l.closed // the other side must not learn of this end
		case !errors.Is(err, io.EOF):
			p.end(l, true) // a reset is passed on as a reset
		}
		return
	}
}

// open lists the links that are open.
func (p *Proxy) open() []*link {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Keys(p.links))
}

// end closes a link on both sides.
func (p *Proxy) end(l *link, reset bool) {
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
	l.close(reset)
}

// Close ends the proxy and waits for its goroutines.
func (p *Proxy) Close() {
	p.cancel()
	_ = p.listener.Close() // accept sees it
	p.Cut()
	p.running.Wait()
}

// attach gives the link its other half, unless it has been closed.
func (l *link) attach(server *net.TCPConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.closed:
		_ = server.Close() // nothing was sent
		return false
	default:
		l.server = server
		return true
	}
}

// pass writes a chunk, and the end if that has been read.
func (l *link) pass(chunk []byte, end error, to *net.TCPConn, passing *sync.Mutex) error {
	passing.Lock()
	defer passing.Unlock()
	if l.severed.Load() {
		return net.ErrClosed
	}
	if len(chunk) > 0 {
		if _, err := to.Write(chunk); err != nil {
			return err
		}
	}
	if errors.Is(end, io.EOF) {
		if err := to.CloseWrite(); err != nil {
			return err
		}
	}
	return end
}

// wait waits for a time, or for the end of the link.
func (l *link) wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.closed:
	}
}

// sever has nothing pass from now on. A write that waits for its reader must
// not hold it up: the deadline ends it.
func (l *link) sever() {
	l.severed.Store(true)
	l.mu.Lock()
	for _, c := range []*net.TCPConn{l.client, l.server} {
		if c != nil {
			_ = c.SetWriteDeadline(time.Unix(1, 0)) // fails on what is closed
		}
	}
	l.mu.Unlock()
	for i := range l.passing {
		l.passing[i].Lock() // now what was passing has passed
		defer l.passing[i].Unlock()
	}
}

// close closes both halves. With reset, the peers see a reset (socket(7),
// SO_LINGER of zero: what is unsent is thrown away and an RST is sent).
func (l *link) close(reset bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.closed:
		return
	default:
		close(l.closed)
	}
	for _, c := range []*net.TCPConn{l.client, l.server} {
		if c == nil {
			continue
		}
		if reset {
			_ = c.SetLinger(0) // fails on what the peer has reset
		}
		_ = c.Close() // there is nobody to tell
	}
}
