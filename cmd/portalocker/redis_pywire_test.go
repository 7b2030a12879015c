package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/redistest"
	"github.com/portalocker/portalocker/internal/testproc"
	"github.com/portalocker/portalocker/redislock/pywire"
)

// underPywire is the command line of "run" with a lock that Python excludes.
func underPywire(url string, args ...string) []string {
	return underRedis(url, append([]string{"--pywire"}, args...)...)
}

func TestRunPywire(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	holder := heldOn(t, s.URL(), "--pywire", "job")
	const locked = "acquire job: already locked by a holder on the channel"
	for _, c := range []struct {
		options []string
		status  int
	}{
		{[]string{"-n"}, 1},
		{[]string{"-w", "3"}, 1}, // less, and a busy machine has not asked yet
		{[]string{"-n", "-E", "42"}, 42},
		{[]string{"-n", "-s"}, 1},
	} {
		try(t, underPywire(s.URL(), append(c.options, "job", "--", self, "@exit", "0")...)...).want(t, c.status, "", locked)
	}
	try(t, underPywire(s.URL(), "-n", "other", "--", self, "@exit", "7")...).want(t, 7, "", "")
	waiter := start(t, underPywire(s.URL(), "--verbose", "job", "--", self, "@hold")...)
	if said := waiter.expect(waiter.err, "portalocker: "+locked); said != "; waiting without limit" {
		t.Errorf("--verbose says %q", said)
	}
	holder.finish().want(t, 0, "", "")
	waiter.ready()
	waiter.expect(waiter.err, `portalocker: got the lock "job" after `)
	waiter.expect(waiter.err, "portalocker: running ")
	waiter.finish().want(t, 0, "", "")
}

func TestRunPywireShared(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	one, two := heldOn(t, s.URL(), "--pywire", "-s", "job"), heldOn(t, s.URL(), "--pywire", "-s", "job")
	try(t, underPywire(s.URL(), "-n", "job", "--", self, "@exit", "0")...).want(t, 1, "", "already locked by 2 readers")
	one.finish().want(t, 0, "", "")
	two.finish().want(t, 0, "", "")
	try(t, underPywire(s.URL(), "-n", "job", "--", self, "@exit", "0")...).want(t, 0, "", "")
}

// The fence of a lock around this one is none of this one's.
func TestRunPywireEnvironment(t *testing.T) {
	url := redistest.Start(t).URL()
	t.Setenv("PORTALOCKER_FENCE", "17")
	r := try(t, underPywire(url, "job", "--", self, "@environment", "PORTALOCKER_LOCK", "PORTALOCKER_FENCE")...)
	r.want(t, 0, "job\n\n", "")
}

// A holder by the library excludes, and is excluded.
func TestRunPywireAndTheLibrary(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	l := pywire.New(s.Client(), "job", pywire.WithTimeout(portalocker.Forever))
	lease, err := l.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	try(t, underPywire(s.URL(), "-n", "job", "--", self, "@hold")...).want(t, 1, "", "already locked")
	// Without --pywire it would be another lock, and is none.
	try(t, underRedis(s.URL(), "job", "--", self, "@hold")...).want(t, statusData, "", "(--pywire)")
	if err := lease.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	holder := heldOn(t, s.URL(), "--pywire", "job")
	if _, err := l.Acquire(t.Context(), pywire.WithTimeout(0)); err == nil || !strings.Contains(err.Error(), "already locked by a holder") {
		t.Errorf("the library says %v", err)
	}
	holder.finish().want(t, 0, "", "")
}

// One who holds without --pywire is not seen by one who comes with it; the other way
// round is refused.
func TestRunPywireBesideRedis(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	holder := heldOn(t, s.URL(), "--pywire", "job")
	try(t, underRedis(s.URL(), "-n", "job", "--", self, "@hold")...).want(t, statusData, "", "(--pywire)")
	holder.finish().want(t, 0, "", "")
	try(t, underRedis(s.URL(), "-n", "job", "--", self, "@exit", "0")...).want(t, 0, "", "")
}

func TestRunPywireUsage(t *testing.T) {
	t.Parallel()
	const url = "redis://localhost:1" // nobody asks it
	for reason, args := range map[string][]string{
		"--pywire goes with --redis":                     {"run", "--pywire", "job", "--", "true"},
		"--pywire and --slots exclude each other: ":      underPywire(url, "--slots", "2", "job", "--", "true"),
		"--pywire and --lease-ttl exclude each other: ":  underPywire(url, "--lease-ttl", "2", "job", "--", "true"),
		"--pywire and a cluster exclude each other: ":    underPywire("redis+cluster://localhost:1", "job", "--", "true"),
		"--redis and --temp exclude each other: ":        underPywire(url, "--temp", "job", "--", "true"),
		"with --pywire LOCK is of printable ASCII":       underPywire(url, "two words", "--", "true"),
		"with --pywire LOCK is of printable ASCII with":  underPywire(url, "Jörg", "--", "true"),
		"LOCK has 4097 bytes; on a server 4096 are allo": underPywire(url, strings.Repeat("x", 4097), "--", "true"),
	} {
		try(t, args...).want(t, statusUsage, "", reason)
	}
}

func TestRunPywireUnavailable(t *testing.T) {
	t.Parallel()
	addr := redistest.Nobody(t)
	try(t, underPywire("redis://"+addr, "-n", "-E", "42", "job", "--", self, "@hold")...).want(t, statusNoServer, "", "redis server unavailable: "+addr)
	s := redistest.Start(t, "--requirepass", "hunter2")
	try(t, underPywire("redis://:wrong@"+s.Addr(), "job", "--", self, "@hold")...).want(t, statusNoServer, "", "password")
	heldOn(t, "redis://:hunter2@"+s.Addr(), "--pywire", "job").finish().want(t, 0, "", "")
}

// The other kinds of server, once.
func TestRunPywireServers(t *testing.T) {
	t.Parallel()
	tls, sentinel := redistest.StartTLS(t), redistest.StartSentinel(t)
	for _, url := range []string{
		"rediss://" + tls.Addr() + "?ca_file=" + tls.CAFile(),
		"redis+sentinel://" + strings.Join(sentinel.SentinelAddrs(), ",") + "/" + sentinel.MasterName(),
	} {
		holder := heldOn(t, url, "--pywire", "job")
		try(t, underPywire(url, "-n", "job", "--", self, "@hold")...).want(t, 1, "", "already locked")
		holder.finish().want(t, 0, "", "")
	}
}

// Real Python excludes, and is excluded, in every version.
func TestRunPywireAndPython(t *testing.T) {
	t.Parallel()
	const variable = "PORTALOCKER_TEST_PYTHON"
	advice := "run interop/venvs FOLDER, and then " + variable + "=FOLDER go test ./cmd/portalocker"
	folder := os.Getenv(variable)
	if folder == "" {
		testproc.Skip(t, "python", advice)
	}
	all, err := filepath.Glob(filepath.Join(folder, "*", "bin", "python"))
	if err != nil || len(all) == 0 {
		t.Fatalf("%s=%s has no environments (%v): %s", variable, folder, err, advice)
	}
	for _, interpreter := range all {
		s := redistest.Start(t)
		_, port, _ := strings.Cut(s.Addr(), ":")
		peer := filepath.Join("..", "..", "redislock", "pywire", "testdata", "peer.py")
		python := testproc.StartCmd(t, exec.Command(interpreter, "-I", "-u", peer, port, "job"))
		does := func(command, answer string) {
			t.Helper()
			python.Say("%s", command)
			python.Expect(answer)
		}
		does("new exclusive check_interval=0.05", "ready")
		does("wait 60", "got")
		try(t, underPywire(s.URL(), "-n", "job", "--", self, "@hold")...).want(t, 1, "", "already locked")
		try(t, underRedis(s.URL(), "-n", "job", "--", self, "@hold")...).want(t, statusData, "", "(--pywire)")
		waiter := start(t, underPywire(s.URL(), "--verbose", "job", "--", self, "@hold")...)
		waiter.expect(waiter.err, "portalocker: acquire job: already locked") // waits from now on
		does("release", "free")
		waiter.ready()
		does("try", "locked")
		_ = waiter.in.Close() // its errors have more lines than want allows
		if status := waiter.end(); status != 0 {
			t.Errorf("%s: ended with %d", interpreter, status)
		}
		does("wait 60", "got")
	}
}

// cutOff closes the connection that holds the lock, as one who waits does when it gets
// no answer.
func cutOff(ctx context.Context, t *testing.T, s *redistest.Server, channel string) {
	t.Helper()
	for line := range strings.Lines(s.Do("CLIENT", "LIST").(string)) {
		if strings.Contains(line, " name="+channel+"-lock-") {
			var id int64
			if _, err := fmt.Sscanf(line, "id=%d ", &id); err != nil {
				t.Fatal(err)
			}
			if n, err := s.Client().ClientKillByFilter(ctx, "ID", fmt.Sprint(id)).Result(); err != nil || n != 1 {
				t.Fatalf("%d killed (%v)", n, err)
			}
			return
		}
	}
	t.Fatal("no connection has the lock")
}
