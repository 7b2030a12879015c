package redistest_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/portalocker/portalocker/internal/redistest"
)

func TestServerWithTLS(t *testing.T) {
	t.Parallel()
	s := redistest.StartTLS(t)
	must(t, s.Client().Set(t.Context(), "k", "v", 0).Err())

	options, err := redis.ParseURL(s.URL()) // as a program is told of it
	must(t, err)
	text, err := os.ReadFile(s.CAFile())
	must(t, err)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		t.Fatal("no certificate in the file")
	}
	options.TLSConfig.RootCAs = roots
	c := redis.NewClient(options)
	t.Cleanup(func() { must(t, c.Close()) })
	if v, err := c.Get(t.Context(), "k").Result(); v != "v" {
		t.Errorf("GET says %q, %v", v, err)
	}

	_, err = tls.Dial("tcp", s.Addr(), &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "127.0.0.1"})
	var unknown x509.UnknownAuthorityError
	if !errors.As(err, &unknown) {
		t.Errorf("without the authority: %v", err)
	}
	plain, err := net.Dial("tcp", s.Addr())
	must(t, err)
	if answers(t.Context(), plain) {
		t.Error("the server answers without TLS")
	}
	must(t, plain.Close())
}

// TestServerWithoutTLS: there is no configuration that a client would take for
// TLS.
func TestServerWithoutTLS(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	if s.TLSConfig() != nil || s.CAFile() != "" || s.Options().TLSConfig != nil {
		t.Error("a server without TLS has a TLS configuration")
	}
}
