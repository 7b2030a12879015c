package redistest_test

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/portalocker/portalocker/internal/redistest"
	"github.com/portalocker/portalocker/internal/testproc"
)

func TestProxyPasses(t *testing.T) {
	t.Parallel()
	e := newEcho(t)
	p := redistest.NewProxy(t, e.addr)
	c := dial(t, p)
	const size = 4 << 20 // more than the buffers on the way hold
	go func() {
		_, _ = c.Write(make([]byte, size)) // what is missing is missed below
		_ = c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	must(t, err)
	if len(got) != size {
		t.Errorf("%d bytes came back of %d", len(got), size)
	}
	testproc.Await(t, "the proxy has closed the connection", func() bool { return p.Connections() == 0 })
}

func TestProxyCut(t *testing.T) {
	t.Parallel()
	e := newEcho(t)
	p := redistest.NewProxy(t, e.addr)
	c := dial(t, p)
	echoed(t, c)
	if n := p.Connections(); n != 1 {
		t.Errorf("%d connections, not 1", n)
	}
	p.Cut()
	if n := p.Connections(); n != 0 {
		t.Errorf("%d connections after Cut", n)
	}
	for side, conn := range map[string]net.Conn{"client": c, "server": nil} {
		var err error
		if conn != nil {
			_, err = conn.Read(make([]byte, 1))
		} else {
			err = <-e.ends
		}
		if !isReset(err) {
			t.Errorf("the %s sees %v, not a reset", side, err)
		}
	}
	echoed(t, dial(t, p))
}

func TestProxyRefuse(t *testing.T) {
	t.Parallel()
	e := newEcho(t)
	p := redistest.NewProxy(t, e.addr)
	old := dial(t, p)
	echoed(t, old)
	p.Refuse(true)
	if err := end(p); !isReset(err) {
		t.Errorf("a new connection sees %v, not a reset", err)
	}
	echoed(t, old)
	p.Refuse(false)
	echoed(t, dial(t, p))
}

func TestProxyHalfOpen(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := redistest.NewProxy(t, s.Addr())
	cut, left := dial(t, p), dial(t, p)
	if !answers(t.Context(), cut) || !answers(t.Context(), left) {
		t.Fatal("no answer through the proxy")
	}
	p.HalfOpen()
	if answers(soon(t), cut) {
		t.Error("an answer through a pulled cable")
	}
	late := dial(t, p)
	if answers(soon(t), late) {
		t.Error("an answer to a new connection through a pulled cable")
	}
	must(t, left.Close()) // nor does the server learn of that
	clients := func() string { return info(t, s, "clients", "connected_clients") }
	const three = "3" // the two, and the one that asks
	if n := clients(); n != three {
		t.Errorf("%s clients, not %s", n, three)
	}
	p.Heal()
	for _, dead := range []net.Conn{cut, late} {
		if answers(soon(t), dead) {
			t.Error("a dead connection lives again")
		}
	}
	if !answers(t.Context(), dial(t, p)) {
		t.Error("no answer to a new connection after Heal")
	}
	if n := p.Connections(); n != 4 {
		t.Errorf("%d connections, not 4", n)
	}
	p.Cut()
	testproc.Await(t, "the server has lost its clients", func() bool { return clients() == "1" })
}

// TestProxyHalfOpenWhileBlocked: HalfOpen returns though a write waits for its
// reader, and the reader gets nothing afterwards.
func TestProxyHalfOpenWhileBlocked(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { must(t, l.Close()) })
	p := redistest.NewProxy(t, l.Addr().String())
	c := dial(t, p)
	server, err := l.Accept()
	must(t, err)
	t.Cleanup(func() { must(t, server.Close()) })
	for { // until all buffers on the way are full
		must(t, c.SetWriteDeadline(time.Now().Add(200*time.Millisecond)))
		if _, err := c.Write(make([]byte, 1<<20)); err != nil {
			break
		}
	}
	p.HalfOpen()
	must(t, server.SetReadDeadline(time.Now().Add(500*time.Millisecond)))
	n, err := io.Copy(io.Discard, server)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after %d bytes the server sees %v, not silence", n, err)
	}
}

func TestProxyDelay(t *testing.T) {
	t.Parallel()
	e := newEcho(t)
	p := redistest.NewProxy(t, e.addr)
	c := dial(t, p)
	const delay = 100 * time.Millisecond
	p.Delay(delay)
	began := time.Now()
	echoed(t, c)
	if took := time.Since(began); took < 2*delay {
		t.Errorf("there and back in %v, with a delay of %v each way", took, delay)
	}
	p.Delay(time.Hour)
	_, err := c.Write([]byte("x")) // the end of the test does not wait for it
	must(t, err)
}

func TestProxyWithoutTarget(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := redistest.NewProxy(t, s.Addr())
	s.Kill()
	if err := end(p); !isReset(err) {
		t.Errorf("the client sees %v, not a reset", err)
	}
	s.Restart()
	if !answers(t.Context(), dial(t, p)) {
		t.Error("no answer from the target that has come back")
	}
}

// TestProxyPassesAnEndOn: the client of a server that dies learns of it.
func TestProxyPassesAnEndOn(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := redistest.NewProxy(t, s.Addr())
	c := dial(t, p)
	if !answers(t.Context(), c) {
		t.Fatal("no answer through the proxy")
	}
	s.Kill()
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the client sees %v, not an end", err)
	}
}

// echo is a server that sends back what it gets.
type echo struct {
	addr string
	ends chan error // how connections end, nil for an orderly end
}

func newEcho(t *testing.T) *echo {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	e := &echo{addr: l.Addr().String(), ends: make(chan error, 16)}
	t.Cleanup(func() { must(t, l.Close()) })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, err := io.Copy(c, c)
				_ = c.Close() // the copy says how it ended
				e.ends <- err
			}()
		}
	}()
	return e
}

// dial is a new connection through a proxy, which is closed with the test.
func dial(t *testing.T, p *redistest.Proxy) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	must(t, err)
	t.Cleanup(func() { _ = c.Close() }) // a test may have closed it
	must(t, c.SetReadDeadline(time.Now().Add(patience)))
	return c.(*net.TCPConn)
}

// end is how a new connection through a proxy ends. A reset can be so quick that
// it is seen while connecting.
func end(p *redistest.Proxy) error {
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		return err
	}
	_ = c.SetReadDeadline(time.Now().Add(patience)) // fails on a reset one, and so does the read
	_, err = c.Read(make([]byte, 1))
	_ = c.Close() // how it ended is known
	return err
}

// echoed fails unless a byte comes back.
func echoed(t *testing.T, c net.Conn) {
	t.Helper()
	_, err := c.Write([]byte("x"))
	must(t, err)
	_, err = io.ReadFull(c, make([]byte, 1))
	must(t, err)
}
