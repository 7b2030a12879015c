package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/portalocker/portalocker/internal/redistest"
	"github.com/portalocker/portalocker/internal/testproc"
	"github.com/portalocker/portalocker/redislock"
)

// underRedis is the command line of "run" with a lock on a server.
func underRedis(url string, args ...string) []string {
	return append([]string{"run", "--redis", url}, args...)
}

// heldOn is a lock on a server that a portalocker holds until its standard input
// ends.
func heldOn(t *testing.T, url string, args ...string) *process {
	t.Helper()
	holder := start(t, underRedis(url, append(args, "--", self, "@hold")...)...)
	holder.ready()
	return holder
}

// What needs no real server, for systems that have none.
func TestRunRedisOnMiniredis(t *testing.T) {
	url := "redis://" + miniredis.RunT(t).Addr()
	holder := heldOn(t, url, "job")
	try(t, underRedis(url, "-n", "job", "--", self, "@exit", "0")...).want(t, 1, "", fmt.Sprintf("by pid %d", holder.cmd.Process.Pid))
	try(t, "redis", "ls", "--redis", url).want(t, 0, " exclusive ", "")
	holder.finish().want(t, 0, "", "")
	try(t, underRedis(url, "-n", "job", "--", self, "@exit", "7")...).want(t, 7, "", "")
}

func TestRunRedis(t *testing.T) {
	s := redistest.Start(t)
	r := try(t, underRedis(s.URL(), "nightly job", "--", self, "@environment", "PORTALOCKER_LOCK", "PORTALOCKER_FENCE")...)
	r.want(t, 0, "nightly job\n", "")
	first, err := strconv.ParseInt(strings.TrimSpace(strings.TrimPrefix(r.out, "nightly job\n")), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	r = try(t, underRedis(s.URL(), "nightly job", "--", self, "@environment", "PORTALOCKER_FENCE")...)
	if second, err := strconv.ParseInt(strings.TrimSpace(r.out), 10, 64); err != nil || second <= first {
		t.Errorf("after the fence %d came %q", first, r.out)
	}

	holder := heldOn(t, s.URL(), "job")
	by := fmt.Sprintf("already locked by pid %d", holder.cmd.Process.Pid)
	for _, c := range []struct {
		options []string
		status  int
	}{
		{[]string{"-n"}, 1},
		{[]string{"-w", "0.05"}, 1},
		{[]string{"-n", "-E", "42"}, 42},
		{[]string{"-n", "-s"}, 1},
		{[]string{"-n", "--slots", "3"}, 1},
	} {
		try(t, underRedis(s.URL(), append(c.options, "job", "--", self, "@exit", "0")...)...).want(t, c.status, "", by)
	}
	waiter := start(t, underRedis(s.URL(), "--verbose", "job", "--", self, "@hold")...)
	said := waiter.expect(waiter.err, "portalocker: acquire job: "+by)
	if !strings.Contains(said, " for ") || !strings.HasSuffix(said, "; waiting without limit") {
		t.Errorf("--verbose says %q", said)
	}
	holder.finish().want(t, 0, "", "")
	waiter.ready()
	waiter.expect(waiter.err, `portalocker: got the lock "job" after `)
	waiter.expect(waiter.err, "portalocker: running ")
	waiter.finish().want(t, 0, "", "")
}

func TestRunRedisSharedAndSlots(t *testing.T) {
	s := redistest.Start(t)
	for _, c := range []struct {
		with, next []string
		status     int
	}{
		{[]string{"--shared"}, []string{"--shared"}, 0},
		{[]string{"--shared"}, []string{"--exclusive"}, 1},
		{[]string{"--slots", "2"}, []string{"--slots", "2"}, 0},
		{[]string{"--slots", "1"}, []string{"--slots", "1"}, 1},
	} {
		name := "a/" + strings.Join(append(c.with, c.next...), " ") // a name, not a path
		holder := heldOn(t, s.URL(), append(c.with, name)...)
		r := try(t, underRedis(s.URL(), append(c.next, "-n", name, "--", self, "@exit", "0")...)...)
		if r.status != c.status {
			t.Errorf("%q beside %q: %+v", c.next, c.with, r)
		}
		holder.finish().want(t, 0, "", "")
	}
}

func TestRunRedisUsage(t *testing.T) {
	const url = "redis://localhost:1" // nobody asks it
	for _, option := range [][]string{
		{"--temp"}, {"--pid"}, {"--directory", "x"}, {"--directory", "x", "--slots", "2"}, {"--mechanism", "flock"}, {"--no-fork"}, {"--close"},
	} {
		if option[0] == "--no-fork" && !canReplaceProcess {
			continue
		}
		try(t, underRedis(url, append(option, "job", "--", "true")...)...).want(t, statusUsage, "", "--redis and "+option[0]+" exclude each other: ")
	}
	for reason, args := range map[string][]string{
		"only a lock on a server can be lost": {"run", "--lease-ttl", "1", "job", "--", "true"},
		"--kill-after goes with --redis":      {"run", "--kill-after", "1", "job", "--", "true"},
		"at least 100ms":                      underRedis(url, "--lease-ttl", "0.05", "job", "--", "true"),
		"cannot be negative":                  underRedis(url, "--kill-after", "-1s", "job", "--", "true"),
		"use seconds":                         underRedis(url, "--lease-ttl", "soon", "job", "--", "true"),
		"is an empty string":                  underRedis("", "job", "--", "true"),
		"LOCK has 4097 bytes":                 underRedis(url, strings.Repeat("x", 4097), "--", "true"),
		"the scheme http is unknown":          underRedis("http://db1", "job", "--", "true"),
		"is for TLS":                          underRedis("redis://db1?skip_verify=1", "job", "--", "true"),
		"no server given":                     {"redis", "ls"},
		"give one of the commands":            {"redis"},
		"give one NAME":                       {"redis", "status", "--redis", url},
		"NAME is an empty string":             {"redis", "status", "--redis", url, ""},
		"ls lists all locks":                  {"redis", "ls", "--redis", url, "job"},
		"check takes no arguments":            {"redis", "check", "--redis", url, "job"},
	} {
		try(t, args...).want(t, statusUsage, "", reason)
	}
	missing := filepath.Join(testproc.Folder(t), "missing")
	for _, server := range []string{"@" + missing, "rediss://db1?ca_file=" + missing, "rediss://db1?cert_file=" + missing + "&key_file=" + missing} {
		try(t, underRedis(server, "job", "--", "true")...).want(t, statusNoInput, "", "missing: ")
	}
}

func TestRedisUnavailable(t *testing.T) {
	t.Setenv(urlVariable, "redis://"+redistest.Nobody(t))
	url := os.Getenv(urlVariable)
	for _, args := range [][]string{
		underRedis(url, "job", "--", self, "@hold"),
		underRedis(url, "-n", "-E", "42", "job", "--", self, "@hold"),
		{"redis", "ls"}, {"redis", "status", "job"}, {"redis", "check"},
	} {
		try(t, args...).want(t, statusNoServer, "", "redis server unavailable: "+strings.TrimPrefix(url, "redis://"))
	}
	loading := redistest.NewErrorServer(t, "-LOADING Redis is loading the dataset in memory")
	try(t, underRedis(loading.URL(), "job", "--", self, "@hold")...).want(t, statusNoServer, "", "still reading its data")
	t.Setenv(urlVariable, "@"+filepath.Join(testproc.Folder(t), "missing"))
	try(t, "redis", "ls").want(t, statusNoInput, "", "missing: ")
}

func TestRunRedisSilentServer(t *testing.T) {
	s := redistest.Start(t)
	proxy := redistest.NewProxy(t, s.Addr())
	proxy.HalfOpen()
	try(t, underRedis("redis://"+proxy.Addr(), "--lease-ttl", "0.3", "job", "--", self, "@hold")...).want(t, statusNoServer, "", "does not answer")
}

// Python's locks of that name are others: it would be no lock at all.
func TestRunRedisBesidePython(t *testing.T) {
	s := redistest.Start(t)
	python := s.Client().Subscribe(t.Context(), "job")
	defer func() { _ = python.Close() }() // only this test listens
	if _, err := python.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	try(t, underRedis(s.URL(), "job", "--", self, "@hold")...).want(t, statusData, "", "somebody uses this name by the protocol of Python portalocker")
	try(t, "redis", "status", "--redis", s.URL(), "job").want(t, 0, "python:  1 on the channel of that name, ", "")
}

func TestRedisLsAndStatus(t *testing.T) {
	s := redistest.Start(t)
	t.Setenv(urlVariable, s.URL())
	try(t, "redis", "ls").want(t, 0, "PID  HOST  STATE  SINCE  MODE  FENCE  NAME\n", "")
	try(t, "redis", "ls", "--json").want(t, 0, "[]\n", "")
	try(t, "redis", "status", "job").want(t, 0, "state:   free\n", "")
	const name = "job\x1b[2J\nof two lines"
	holder := heldOn(t, s.URL(), "--slots", "1", name)
	waiter := start(t, underRedis(s.URL(), "--verbose", "--slots", "1", name, "--", self, "@hold")...)
	waiter.expect(waiter.err, "portalocker: acquire ") // asks once more, to wait from then on
	var locks []redisLockJSON
	testproc.Await(t, "somebody waits", func() bool {
		r := try(t, "redis", "ls", "--json")
		if err := json.Unmarshal([]byte(r.out), &locks); err != nil {
			t.Fatalf("%+v: %v", r, err)
		}
		return len(locks) == 1 && locks[0].Waiting == 1
	})
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	owner, next := locks[0].Owners[0], locks[0].Waiters[0]
	if l := locks[0]; l.Name != name || l.Fence == nil || *l.Fence != *owner.Fence || l.Python != 0 || len(l.Owners) != 1 || len(l.Waiters) != 1 {
		t.Errorf("the lock is %+v", l)
	}
	if owner.PID != holder.cmd.Process.Pid || owner.Host != host || owner.Mode != "permit" || *owner.Permits != 1 || owner.ID == "" || time.Since(owner.Since).Abs() > patience {
		t.Errorf("the owner is %+v", owner)
	}
	if next.PID != waiter.cmd.Process.Pid || next.Fence != nil {
		t.Errorf("the waiter is %+v", next)
	}
	status := try(t, "redis", "status", name)
	status.want(t, 0, fmt.Sprintf("state:   held by pid %d on %s for ", owner.PID, host), "")
	var one map[string]any
	if err := json.Unmarshal([]byte(try(t, "redis", "status", "--json", name).out), &one); err != nil || len(one) != 6 {
		t.Errorf("%v (%v)", one, err)
	}
	ls := try(t, "redis", "ls")
	for _, r := range []result{ls, status} {
		rows := fmt.Sprintf("\n%d  ", owner.PID) // and the other
		if !strings.Contains(r.out, rows) || !strings.Contains(r.out, " holds  ") || !strings.Contains(r.out, " waits  ") ||
			!strings.Contains(r.out, "  1 of 1  ") || strings.ContainsRune(r.out, '\x1b') || !strings.Contains(r.out, `"job\x1b[2J\nof two lines"`) {
			t.Errorf("a table of %q", r.out)
		}
	}
	holder.finish().want(t, 0, "", "")
	waiter.ready()
}

// One record that is none hides no lock, and is no success.
func TestRedisLsBesideOthersData(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	s.Do("SET", "portalocker:{other}:owners", "1")
	holder := heldOn(t, s.URL(), "job")
	r := try(t, "redis", "ls", "--redis", s.URL())
	r.want(t, statusNoServer, fmt.Sprintf("\n%d  ", holder.cmd.Process.Pid), "status other: ")
	if strings.Count(r.out, "\n") != 2 || strings.Count(r.err, "\n") != 1 || !strings.Contains(r.err, "WRONGTYPE") {
		t.Errorf("got %+v", r)
	}
	r = try(t, "redis", "ls", "--redis", s.URL(), "--json")
	var locks []redisLockJSON
	if err := json.Unmarshal([]byte(r.out), &locks); err != nil || len(locks) != 1 || locks[0].Name != "job" {
		t.Errorf("%+v (%v)", r, err)
	}
	r.want(t, statusNoServer, `"name": "job"`, "status other: ")
	holder.finish().want(t, 0, "", "")
}

func TestRedisCheck(t *testing.T) {
	fit := redistest.Start(t)
	try(t, "redis", "check", "--redis", fit.URL()).want(t, 0, "all is well", "")
	try(t, "redis", "check", "--redis", fit.URL(), "--json").want(t, 0, "[]\n", "")
	unfit := redistest.Start(t, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	try(t, "redis", "check", "--redis", unfit.URL()).want(t, 1, unfit.Addr()+": error: maxmemory-policy: ", "")
	r := try(t, "redis", "check", "--redis", unfit.URL(), "--json")
	var findings []findingJSON
	if err := json.Unmarshal([]byte(r.out), &findings); err != nil || r.status != 1 || len(findings) != 1 || !findings[0].Fatal || findings[0].Server != unfit.Addr() {
		t.Errorf("%+v (%v)", r, err)
	}
	unfit.Do("CONFIG", "SET", "maxmemory", "0")
	try(t, "redis", "check", "--redis", unfit.URL()).want(t, 0, ": warning: maxmemory-policy: ", "")
	secured := redistest.Start(t, "--requirepass", "hunter2")
	try(t, "redis", "check", "--redis", "redis://"+secured.Addr()).want(t, statusNoServer, "", "it asks for a password")
}

// Every kind of server, once.
func TestRedisServers(t *testing.T) {
	serves := func(t *testing.T, url string) {
		t.Helper()
		holder := heldOn(t, url, "job")
		try(t, underRedis(url, "-n", "job", "--", self, "@hold")...).want(t, 1, "", fmt.Sprintf("by pid %d", holder.cmd.Process.Pid))
		try(t, "redis", "ls", "--redis", url).want(t, 0, " holds ", "")
		holder.finish().want(t, 0, "", "")
		if r := try(t, "redis", "check", "--redis", url); r.status != 0 {
			t.Errorf("check: %+v", r)
		}
	}
	t.Run("TLS", func(t *testing.T) {
		t.Parallel()
		s := redistest.StartTLS(t)
		serves(t, "rediss://"+s.Addr()+"?ca_file="+s.CAFile())
		serves(t, "rediss://"+s.Addr()+"?skip_verify=true")
		serves(t, "rediss://"+s.Addr()+"?server_name=localhost&ca_file="+s.CAFile())
		for reason, parameters := range map[string]string{"unknown authority": "", "valid for localhost": "?server_name=db1&ca_file=" + s.CAFile()} {
			r := try(t, underRedis("rediss://"+s.Addr()+parameters, "job", "--", self, "@hold")...)
			r.want(t, statusNoServer, "", reason)
		}
		key := filepath.Join(filepath.Dir(s.CAFile()), "server.key")
		try(t, underRedis("rediss://"+s.Addr()+"?ca_file="+key, "job", "--", self, "@hold")...).want(t, statusUsage, "", "no certificate in PEM")
	})
	t.Run("socket", func(t *testing.T) {
		t.Parallel()
		serves(t, "unix://"+redistest.StartSocket(t).Socket())
	})
	t.Run("sentinel", func(t *testing.T) {
		t.Parallel()
		s := redistest.StartSentinel(t)
		serves(t, "redis+sentinel://"+strings.Join(s.SentinelAddrs(), ",")+"/"+s.MasterName())
		try(t, underRedis("redis+sentinel://"+s.SentinelAddrs()[0]+"/nobody", "job", "--", self, "@hold")...).want(t, statusNoServer, "", "acquire job: ")
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		serves(t, "redis+cluster://"+strings.Join(redistest.StartCluster(t).Addrs(), ","))
	})
}

// A password is in nothing that is said, and the environment or a file can give it.
func TestRedisPassword(t *testing.T) {
	const secret = "hunter2-of-mine"
	s := redistest.Start(t, "--requirepass", secret)
	withUser := func(password string) string { return "redis://default:" + password + "@" + s.Addr() }
	for _, args := range [][]string{
		underRedis(withUser(secret), "--verbose", "job", "--", self, "@args", "x"),
		underRedis(withUser(secret+"-not"), "job", "--", self, "@hold"),
		underRedis(withUser(secret)+"/"+secret, "job", "--", self, "@hold"),
		underRedis(withUser(secret)+"?"+secret+"=1", "job", "--", self, "@hold"),
		underRedis(withUser(secret+"/"), "job", "--", self, "@hold"),
		underRedis(withUser(secret+"%"), "job", "--", self, "@hold"),
		underRedis("redis://:"+secret+"@"+redistest.Nobody(t), "job", "--", self, "@hold"),
		underRedis("http://:"+secret+"@db1", "job", "--", self, "@hold"),
		underRedis("redis:/:"+secret+"@db1", "job", "--", self, "@hold"),
		underRedis(withUser(secret), "--no-such-option", "job", "--", self, "@hold"),
		underRedis(withUser(secret), "--temp", "job", "--", self, "@hold"),
		{"redis", "ls", "--redis", withUser(secret)},
		{"redis", "--redis", withUser(secret), "ls"},
		{"redis", "status", "--redis=" + withUser(secret), "job"},
		{"redis", "check", "--redis", withUser(secret)},
		{"redis", "check", "--json", "--redis", withUser(secret + "-not")},
	} {
		if r := try(t, args...); strings.Contains(r.out+r.err, secret) {
			t.Errorf("%q says the password: %+v", args, r)
		}
	}
	file := filepath.Join(testproc.Folder(t), "url")
	if err := os.WriteFile(file, []byte(withUser(secret)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"job", "--", self, "@environment", passwordVariable}
	try(t, underRedis("@"+file, args...)...).want(t, 0, "\n", "") // it stays in the file
	t.Setenv(passwordVariable, secret)
	bare := "redis://" + s.Addr()
	try(t, underRedis(bare, args...)...).want(t, 0, secret+"\n", "") // COMMAND can have use of it
	t.Setenv(usernameVariable, "default")
	try(t, underRedis(bare, args...)...).want(t, 0, secret+"\n", "")
	t.Setenv(usernameVariable, "nobody")
	try(t, underRedis(bare, args...)...).want(t, statusNoServer, "", "refuses the user or the password")
}

func TestRedisHelpAndCompletion(t *testing.T) {
	for _, name := range []string{"ls", "status", "check"} {
		r := try(t, "help", "redis", name)
		r.want(t, 0, "Examples:\n  ", "")
		for line := range strings.Lines(r.out) {
			if len(line) > 100 { // does not fit many a terminal
				t.Errorf("%s: %d columns: %s", name, len(line), line)
			}
		}
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"redis", ""}, "status\tTell who"},
		{[]string{"redis", "ls", "--redis", ""}, "rediss://\t"},
		{[]string{"run", "--redis", ""}, "redis+sentinel://\t"},
		{[]string{"run", "--kill-after", ""}, ":4\n"},                       // no files
		{[]string{"redis", "status", "--redis", "redis://db1", ""}, ":4\n"}, // they are no locks here
	} {
		r := start(t, append([]string{"__complete"}, c.args...)...).finish()
		if r.status != 0 || !strings.Contains(r.out, c.want) {
			t.Errorf("%q: got %+v, want %q", c.args, r, c.want)
		}
	}
}

func TestReleaseStatus(t *testing.T) {
	lost := fmt.Errorf("release job: %w", redislock.ErrLost)
	unavailable := fmt.Errorf("release job: %w", redislock.ErrUnavailable)
	for _, c := range []struct {
		err          error
		status, want int
	}{
		{lost, 0, statusLost},
		{lost, 9, statusLost}, // what it has done, it may have done without the lock
		{errors.Join(lost, unavailable), 0, statusLost},
		{unavailable, 0, statusNoServer},
		{unavailable, 9, 9},
		{errors.New("close job.lock"), 0, statusOS},
		{errors.New("close job.lock"), 9, 9},
	} {
		if got := releaseStatus(c.err, c.status); got != c.want {
			t.Errorf("%v after status %d: %d, want %d", c.err, c.status, got, c.want)
		}
	}
}
