package redistest

import (
	"net"
	"testing"
)

// Nobody is an address at which connections are refused until the end of the test. A
// port that was only free a moment ago may be another's by now; this one is taken, by
// the near end of a connection, at which nobody listens.
func Nobody(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	c, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.LocalAddr().String()
}
