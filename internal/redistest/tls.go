package redistest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/portalocker/portalocker/internal/testproc"
)

// StartTLS starts a redis-server that speaks TLS only, with a certificate of an
// authority of its own. It asks clients for none. Where redis-server was built
// without TLS the test is skipped, as it is without redis-server: the name for
// testproc.Skip is redis-tls.
func StartTLS(t testing.TB, args ...string) *Server {
	t.Helper()
	s := newServer(t, args)
	s.certify()
	s.listen = func(port int) []string { return []string{"--port 0", "--tls-port", strconv.Itoa(port)} }
	s.first = append(s.first, "--tls-auth-clients no",
		"--tls-ca-cert-file", s.caFile, "--tls-cert-file", s.file("server.pem"), "--tls-key-file", s.file("server.key"))
	s.lacking = func(said string) {
		if strings.Contains(said, "Bad directive") && strings.Contains(said, "tls-") {
			testproc.Skip(t, "redis-tls", "install a redis-server that was built with BUILD_TLS=yes")
		}
	}
	s.start()
	return s
}

// CAFile is the certificate of the authority, in PEM, for StartTLS.
func (s *Server) CAFile() string { return s.caFile }

// TLSConfig trusts the server's authority; it is nil without TLS.
func (s *Server) TLSConfig() *tls.Config { return s.tls.Clone() }

// certify makes an authority, and a certificate for the loopback addresses.
func (s *Server) certify() {
	s.t.Helper()
	authority := &x509.Certificate{
		Subject: pkix.Name{CommonName: "redistest authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	authorityKey := s.certificate("ca", authority, authority, nil)
	server := &x509.Certificate{
		Subject: pkix.Name{CommonName: "redistest server"}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		KeyUsage:    x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	s.certificate("server", server, authority, authorityKey)
	s.caFile = s.file("ca.pem")
	text, err := os.ReadFile(s.caFile)
	s.must(err)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		s.t.Fatalf("%s holds no certificate", s.caFile)
	}
	s.tls = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}

// certificate writes a new key and a certificate for it, signed by the parent;
// without the parent's key it signs itself. It returns the key.
func (s *Server) certificate(name string, template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) *ecdsa.PrivateKey {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s.must(err)
	if parentKey == nil {
		parentKey = key
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	certificate, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	s.must(err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	s.must(err)
	s.must(os.WriteFile(s.file(name+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}), 0o600))
	s.must(os.WriteFile(s.file(name+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	return key
}

// file is the path of a file in the server's own folder.
func (s *Server) file(name string) string { return filepath.Join(s.dir, name) }
