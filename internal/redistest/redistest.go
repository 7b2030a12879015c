// Package redistest gives tests what they need around a real redis-server:
// servers that are started, paused, killed and started again, with TLS, on a
// Unix socket, as a cluster and under a sentinel; a proxy that breaks
// connections in the ways a network does; and a server that only answers with
// an error.
//
// Everything listens on the loopback address and ends with the test. Where no
// redis-server is installed the test is skipped, or fails if the environment
// says so: see testproc.Skip, where it is called redis.
package redistest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/portalocker/portalocker/internal/testproc"
)

// patience is how long a test waits for what must happen: far longer than
// anything takes, so that only a hang meets it.
const patience = 60 * time.Second

// Server is a redis-server, as a test sees it. It keeps no data on disk, unless
// its arguments say otherwise. Its methods may be called from any goroutine
// (Restart from one at a time); what goes wrong fails the test and ends the
// goroutine that called.
type Server struct {
	t    testing.TB
	path string // of redis-server
	dir  string // its own, and it is its working directory
	port int    // 0 for a server that listens on a Unix socket only

	first    []string                // arguments that must come first
	listen   func(port int) []string // the arguments that make it listen
	args     []string                // the arguments of the test
	password string
	lacking  func(said string) // skips the test if the server said that it cannot do this

	socket string
	caFile string
	tls    *tls.Config

	mu   sync.Mutex // guards runs; held while one starts
	runs []*run     // the last is the present one
}

// Start starts a redis-server on a free port and waits until it answers. Each
// of args is a setting, as in "--maxmemory 10mb". The server is killed at the
// end of the test, and when the test's process ends in any other way (on Linux).
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	s := newServer(t, args)
	s.start()
	return s
}

// StartSocket starts a redis-server that listens on a Unix socket and nowhere
// else.
func StartSocket(t testing.TB, args ...string) *Server {
	t.Helper()
	s := newServer(t, args)
	s.socket = s.dir + "/s"
	// unix(7), "Pathname sockets": 108 bytes on Linux; 104 on macOS and the BSDs.
	if len(s.socket) >= 104 {
		t.Fatalf("the path of the socket is too long: %s (set TMPDIR to a shorter one)", s.socket)
	}
	s.listen = func(int) []string { return []string{"--port 0", "--unixsocket", s.socket} }
	s.start()
	return s
}

// Program is the path of redis-server. Where there is none the test is skipped.
func Program(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		testproc.Skip(t, "redis", "install redis-server: apt-get install redis-server (Debian), brew install redis (macOS)")
	}
	return path
}

// newServer is a server that has not been started yet.
func newServer(t testing.TB, args []string) *Server {
	t.Helper()
	path := Program(t)
	// Not t.TempDir, which is too long for the path of a socket.
	dir, err := os.MkdirTemp("", "redis")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{
		t: t, path: path, dir: dir, args: args, password: setting(args, "requirepass"),
		// A replica would otherwise keep the master's data in a file, and start
		// with it the next time (redis.conf, rdb-del-sync-files). The delay is
		// what a master waits for more replicas to come.
		first:  []string{"--save", "", "--appendonly no", "--rdb-del-sync-files yes", "--repl-diskless-sync-delay 0"},
		listen: func(port int) []string { return []string{"--port", strconv.Itoa(port)} },
	}
	t.Cleanup(s.cleanUp)
	return s
}

// Addr is host:port, or the path of the socket: what redis.Options.Addr is.
func (s *Server) Addr() string {
	if s.socket != "" {
		return s.socket
	}
	return "127.0.0.1:" + strconv.Itoa(s.port)
}

// URL is the server's address in the form that redis.ParseURL reads.
func (s *Server) URL() string {
	u := url.URL{Scheme: "redis", Host: s.Addr()}
	switch {
	case s.socket != "":
		u = url.URL{Scheme: "unix", Path: s.socket}
	case s.tls != nil:
		u.Scheme = "rediss"
	}
	if s.password != "" {
		u.User = url.UserPassword("", s.password)
	}
	return u.String()
}

// Options are what a client needs to reach the server: its address, its
// password if there is one, its certificate authority under TLS.
func (s *Server) Options() *redis.Options {
	o := &redis.Options{Addr: s.Addr(), Password: s.password, TLSConfig: s.TLSConfig()}
	if s.socket != "" {
		o.Network = "unix"
	}
	return o
}

// Client is a new client, which is closed at the end of the test.
func (s *Server) Client() *redis.Client {
	s.t.Helper()
	c := redis.NewClient(s.Options())
	s.t.Cleanup(func() { _ = c.Close() }) // the test may have closed it
	return c
}

// Do runs one command through a connection of its own, to set something up or
// to look something up. An error fails the test; a nil reply is nil.
func (s *Server) Do(args ...any) any {
	s.t.Helper()
	v, err := s.try(args...)
	if err != nil {
		s.t.Fatalf("%v at the redis-server at %s: %v", args, s.Addr(), err)
	}
	return v
}

// Socket is the path of the server's socket, for StartSocket.
func (s *Server) Socket() string { return s.socket }

// PID is the process that runs now, or ran last.
func (s *Server) PID() int { return s.present().cmd.Process.Pid }

// Stop pauses the server, as SIGSTOP does. Its kernel still accepts connections
// for it, and takes what is sent.
func (s *Server) Stop() {
	s.t.Helper()
	s.must(s.present().stop())
}

// Continue lets a paused server run on.
func (s *Server) Continue() {
	s.t.Helper()
	s.must(s.present().continueRun())
}

// Kill kills the server, as SIGKILL does, and waits for its end. It may have
// ended already.
func (s *Server) Kill() { s.present().kill() }

// Shutdown ends the server in the orderly way, as SIGTERM does, and waits for
// its end.
func (s *Server) Shutdown() {
	s.t.Helper()
	r := s.present()
	s.must(r.terminate())
	select {
	case <-r.ended:
	case <-time.After(patience):
		s.t.Fatalf("the redis-server at %s does not end", s.Addr())
	}
}

// Restart kills the server if it still runs, and starts it on the same address,
// with the arguments it had and then those given. It has no data then, unless
// its arguments told it to keep some. Restart waits until it answers.
func (s *Server) Restart(args ...string) {
	s.t.Helper()
	s.Kill()
	s.args = append(s.args[:len(s.args):len(s.args)], args...)
	if p := setting(args, "requirepass"); p != "" {
		s.password = p
	}
	s.await("start again", func() error {
		err := s.launch()
		if err != nil && !errors.Is(err, errPortTaken) { // waiting helps with that one only
			s.t.Fatalf("the redis-server at %s: %v", s.Addr(), err)
		}
		return err
	})
	s.awaitAnswer()
}

// start finds a port, starts the server there, and waits until it answers.
func (s *Server) start() {
	s.t.Helper()
	for range 20 {
		if s.socket == "" {
			port, err := FreePort()
			s.must(err)
			s.port = port
		}
		err := s.launch()
		if errors.Is(err, errPortTaken) {
			continue
		}
		s.must(err)
		s.awaitAnswer()
		return
	}
	s.t.Fatal("no free port for a redis-server")
}

// awaitAnswer waits until the server answers a PING, be it with a refusal.
func (s *Server) awaitAnswer() {
	s.t.Helper()
	s.await("answer", func() error {
		_, err := s.try("PING")
		var refusal redis.Error
		if errors.As(err, &refusal) && !strings.HasPrefix(refusal.Error(), "LOADING") {
			return nil
		}
		return err
	})
}

// try runs one command through a connection of its own.
func (s *Server) try(args ...any) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := redis.NewClient(s.Options())
	defer func() { _ = c.Close() }() // nothing is left to be lost
	v, err := c.Do(ctx, args...).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return v, err
}

// expect is nil if a field of the answer to a command, such as INFO or CLUSTER
// INFO, has a value.
func (s *Server) expect(field, want string, command ...any) error {
	v, err := s.try(command...)
	if err != nil {
		return err
	}
	for line := range strings.Lines(fmt.Sprint(v)) {
		if got, ok := strings.CutPrefix(strings.TrimSpace(line), field+":"); ok && got != want {
			return fmt.Errorf("%s is %s, not %s", field, got, want)
		} else if ok {
			return nil
		}
	}
	return fmt.Errorf("%v has no %s", command, field)
}

// await asks until the server does what it must do.
func (s *Server) await(what string, check func() error) {
	s.t.Helper()
	testproc.AwaitNil(s.t, fmt.Sprintf("%s (the redis-server at %s)", what, s.Addr()), check)
}

func (s *Server) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("the redis-server at %s: %v", s.Addr(), err)
	}
}

// cleanUp ends the server and removes its folder. What it said is shown if the
// test has failed.
func (s *Server) cleanUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.runs {
		r.kill()
		if s.t.Failed() {
			s.t.Logf("redis-server at %s, process %d, said:\n%s", s.Addr(), r.cmd.Process.Pid, r.output.tail())
		}
	}
	if err := os.RemoveAll(s.dir); err != nil {
		s.t.Errorf("the folder of the redis-server at %s: %v", s.Addr(), err)
	}
}

// setting is the value of a setting in arguments, in the form "--name value" or
// as two arguments; it is empty when there is none.
func setting(args []string, name string) string {
	fields := strings.Fields(strings.Join(args, " "))
	for i, f := range fields {
		if f == "--"+name && i+1 < len(fields) {
			return strings.Trim(fields[i+1], `"`)
		}
	}
	return ""
}
