package redistest_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/portalocker/portalocker/internal/redistest"
	"github.com/portalocker/portalocker/internal/testproc"
)

func TestServer(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--maxmemory 10mb")
	c := s.Client()
	must(t, c.Set(t.Context(), "k", "v", 0).Err())
	if v := s.Do("GET", "k"); v != "v" {
		t.Errorf("GET says %v, not v", v)
	}
	if v := s.Do("GET", "none"); v != nil {
		t.Errorf("GET of no key says %v, not nil", v)
	}
	if v, err := c.ConfigGet(t.Context(), "maxmemory").Result(); err != nil || v["maxmemory"] != "10485760" {
		t.Errorf("maxmemory is %v, %v: the argument was not given on", v, err)
	}
	options, err := redis.ParseURL(s.URL())
	must(t, err)
	if options.Addr != s.Addr() {
		t.Errorf("%s is at %s, not %s", s.URL(), options.Addr, s.Addr())
	}
	if n := info(t, s, "server", "process_id"); n != itoa(s.PID()) {
		t.Errorf("the process is %s, PID says %d", n, s.PID())
	}
}

func TestServerWithPassword(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--requirepass secret")
	s.Do("SET", "k", "v")
	options, err := redis.ParseURL(s.URL())
	must(t, err)
	options.MaxRetries = -1
	for password, want := range map[string]string{options.Password: "", "": "NOAUTH"} {
		options.Password = password
		c := redis.NewClient(options)
		err := c.Ping(t.Context()).Err()
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("with password %q: %v", password, err)
		}
		must(t, c.Close())
	}
}

func TestServerStopContinue(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	for range 3 {
		s.Stop()
		if s := state(t, s.PID()); s != "" && s != "T" {
			t.Errorf("the state of the stopped process is %s", s)
		}
		conn, err := net.Dial("tcp", s.Addr())
		must(t, err) // the kernel accepts
		if answers(soon(t), conn) {
			t.Error("the stopped server answers")
		}
		s.Continue()
		if a := says(t.Context(), conn); a != "+PONG" { // its kernel kept the PING
			t.Errorf("the continued server answers %q", a)
		}
		must(t, conn.Close())
	}
	s.Stop()
	s.Kill() // works on a stopped process
}

func TestServerKillAndRestart(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	for _, end := range []func(){s.Kill, s.Shutdown, func() {}} {
		s.Do("SET", "k", "v")
		addr, pid := s.Addr(), s.PID()
		end()
		s.Restart("--maxclients 77")
		if s.Addr() != addr || s.PID() == pid {
			t.Errorf("restarted at %s as %d, was at %s as %d", s.Addr(), s.PID(), addr, pid)
		}
		if n := s.Do("DBSIZE"); n != int64(0) {
			t.Errorf("%v keys after a restart", n)
		}
	}
	if n := info(t, s, "clients", "maxclients"); n != "77" {
		t.Errorf("maxclients is %s: the argument of Restart was not given on", n)
	}
	s.Kill()
	if _, err := net.Dial("tcp", s.Addr()); err == nil {
		t.Error("the killed server accepts a connection")
	}
	s.Kill() // it may have ended
}

func TestServerKeepsWhatItIsToldToKeep(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--appendonly yes", "--appendfsync always")
	s.Do("SET", "k", "v")
	s.Restart()
	if v := s.Do("GET", "k"); v != "v" {
		t.Errorf("GET says %v, not v", v)
	}
}

// TestReplicaForgets: what a replica has is its master's, and gone when it is
// started again without one.
func TestReplicaForgets(t *testing.T) {
	t.Parallel()
	master := redistest.Start(t)
	master.Do("SET", "k", "v")
	replica := redistest.Start(t, "--replicaof "+strings.Replace(master.Addr(), ":", " ", 1))
	testproc.Await(t, "the replica has the key", func() bool { return replica.Do("DBSIZE") == int64(1) })
	replica.Restart("--replicaof no one")
	if n := replica.Do("DBSIZE"); n != int64(0) {
		t.Errorf("%v keys after a restart", n)
	}
}

func TestServerOnASocket(t *testing.T) {
	t.Parallel()
	s := redistest.StartSocket(t)
	s.Do("SET", "k", "v")
	info, err := os.Stat(s.Socket())
	must(t, err)
	if info.Mode()&os.ModeSocket == 0 {
		t.Errorf("%s is %v", s.Socket(), info.Mode())
	}
	options, err := redis.ParseURL(s.URL())
	must(t, err)
	if options.Network != "unix" || options.Addr != s.Addr() {
		t.Errorf("%s is at %s %s", s.URL(), options.Network, options.Addr)
	}
	s.Restart() // the old socket is in nobody's way
	must(t, s.Client().Ping(t.Context()).Err())
}

// TestServersAtOnce: each has its port, its folder and its process.
func TestServersAtOnce(t *testing.T) {
	t.Parallel()
	addrs := make(chan string, 8)
	t.Run("servers", func(t *testing.T) {
		for range cap(addrs) {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				s := redistest.Start(t)
				s.Do("SET", "k", "v")
				addrs <- s.Addr()
			})
		}
	})
	close(addrs)
	seen := map[string]bool{}
	for addr := range addrs {
		seen[addr] = true
		if c, err := net.Dial("tcp", addr); err == nil {
			_ = c.Close()
			t.Errorf("%s listens after the end of its test", addr)
		}
	}
	if len(seen) != cap(addrs) {
		t.Errorf("%d addresses for %d servers", len(seen), cap(addrs))
	}
}

// TestServerLeavesNoFolder: the server's own folder goes with it.
func TestServerLeavesNoFolder(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	folders := func() int {
		f, err := filepath.Glob(os.Getenv("TMPDIR") + "/redis*")
		must(t, err)
		return len(f)
	}
	t.Run("server", func(t *testing.T) {
		redistest.Start(t)
		if folders() != 1 {
			t.Skip("the folder for temporary files is named otherwise here")
		}
	})
	if folders() != 0 {
		t.Error("the server's folder is still there")
	}
}
