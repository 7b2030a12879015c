//go:build unix

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/portalocker/portalocker/internal/redistest"
	"github.com/portalocker/portalocker/redislock"
)

func init() {
	// Ends by SIGKILL only, or with its standard input.
	commands["@deaf"] = func([]string) int {
		signal.Ignore(unix.SIGTERM)
		return hold(nil)
	}
}

// behindProxy is a server, and its URL by way of a proxy that can cut the link.
func behindProxy(t *testing.T) (*redistest.Server, *redistest.Proxy, string) {
	t.Helper()
	s := redistest.Start(t)
	proxy := redistest.NewProxy(t, s.Addr())
	return s, proxy, "redis://" + proxy.Addr()
}

// wantLost checks the end of a portalocker whose lock was lost, and what it said.
func (r result) wantLost(t *testing.T, out string, errs ...string) {
	t.Helper()
	said := strings.Split(strings.TrimSuffix(r.err, "\n"), "\n")
	ok := r.status == statusLost && r.out == out && len(said) == len(errs)
	for i := 0; ok && i < len(errs); i++ {
		ok = strings.Contains(said[i], errs[i])
	}
	if !ok {
		t.Errorf("got %+v, want status %d, output %q and lines with %q", r, statusLost, out, errs)
	}
}

const endingIt = "the lock is lost: "

func TestRunRedisLost(t *testing.T) {
	s, proxy, url := behindProxy(t)
	for what, lose := range map[string]func(){
		"the link is cut":      proxy.Cut,
		"the server is killed": s.Kill,
	} {
		s.Restart()
		p := start(t, underRedis(url, "job", "--", self, "@signals")...)
		p.ready()
		lose()
		r := p.finish()
		r.wantLost(t, "terminated\n", endingIt)
		if !strings.Contains(r.err, "hold job: ") || !strings.Contains(r.err, "SIGTERM, and by SIGKILL after 10s") {
			t.Errorf("%s: %q", what, r.err)
		}
	}
	s.Restart()
	try(t, underRedis(url, "-n", "job", "--", self, "@exit", "0")...).want(t, 0, "", "")
}

// The server forgets the lock while the command runs.
func TestRunRedisFlushed(t *testing.T) {
	s, _, url := behindProxy(t)
	p := start(t, underRedis(url, "--lease-ttl", "0.3", "job", "--", self, "@signals")...)
	p.ready()
	s.Do("FLUSHALL")
	p.finish().wantLost(t, "terminated\n", endingIt)
}

func TestRunRedisKillAfter(t *testing.T) {
	_, proxy, url := behindProxy(t)
	for option, errs := range map[string][]string{
		"0.1": {"SIGKILL after 100ms", "the command has not ended 100ms after SIGTERM: killing it"},
		"0":   {"; killing the command"},
	} {
		p := start(t, underRedis(url, "--kill-after", option, "job", "--", self, "@deaf")...)
		p.ready()
		proxy.Cut()
		out, err := io.ReadAll(p.out) // not by its standard input
		if err != nil {
			t.Fatal(err)
		}
		p.finish().wantLost(t, string(out), errs...)
	}
}

// SIGTERM waits until a stopped command runs on.
func TestRunRedisLostWithStoppedCommand(t *testing.T) {
	_, proxy, url := behindProxy(t)
	p := start(t, underRedis(url, "job", "--", self, "@signals")...)
	pid := p.ready()
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	proxy.Cut()
	p.finish().wantLost(t, "terminated\n", endingIt)
}

// While a command ends in good order, signals still reach it.
func TestRunRedisLostPassesSignalsOn(t *testing.T) {
	_, proxy, url := behindProxy(t)
	cmd := portalockerCommand(underRedis(url, "job", "--", "/bin/sh", "-c",
		`trap 'echo got TERM' TERM; trap 'echo got HUP; exit 3' HUP; echo ready $$; while :; do read line; done`)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	p := startCommand(t, cmd)
	p.ready()
	proxy.Cut()
	p.expect(p.out, "got TERM")
	p.send(unix.SIGHUP)
	p.finish().wantLost(t, "got HUP\n", endingIt)
}

// The command ends by itself after the lock was lost, before portalocker could know:
// that it may have worked without the lock must not pass for success.
func TestRunRedisLostWhileStopped(t *testing.T) {
	_, _, url := behindProxy(t)
	for _, commandEnds := range []bool{false, true} {
		p := start(t, underRedis(url, "--lease-ttl", "0.3", "job", "--", self, "@signals")...)
		pid := p.ready()
		p.send(unix.SIGSTOP)
		next := start(t, underRedis(url, "job", "--", self, "@hold")...)
		next.ready() // when the lease has run out
		out := "terminated\n"
		if commandEnds {
			if err := unix.Kill(pid, unix.SIGTERM); err != nil {
				t.Fatal(err)
			}
			p.expect(p.out, "terminated")
			out = ""
		}
		p.send(unix.SIGCONT)
		p.finish().wantLost(t, out, endingIt)
		next.finish().want(t, 0, "", "")
	}
}

func TestRunRedisSignals(t *testing.T) {
	_, _, url := behindProxy(t)
	cmd := portalockerCommand(underRedis(url, "job", "--", self, "@signals")...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	holder := startCommand(t, cmd)
	holder.ready()
	waiter := start(t, underRedis(url, "--verbose", "job", "--", self, "@hold")...)
	waiter.expect(waiter.err, "portalocker: acquire job: ") // waits from now on
	waiter.send(unix.SIGTERM)
	waiter.finish().want(t, statusSignal+int(unix.SIGTERM), "", "stopped by signal: terminated")
	holder.send(unix.SIGHUP)
	holder.expect(holder.out, "hangup")
	holder.send(unix.SIGTERM)
	holder.finish().want(t, 9, "terminated\n", "")
	try(t, underRedis(url, "-n", "job", "--", self, "@exit", "0")...).want(t, 0, "", "")
}

// A shell leaves the program that it waits for when it dies. That one must not work
// on, nor must the shell start the next.
func TestRunRedisLostEndsTheWholeFamily(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere the command alone is ended, as its help says")
	}
	_, proxy, url := behindProxy(t)
	const script = `"$0" "$1"; echo next`
	p := start(t, underRedis(url, "job", "--", "/bin/sh", "-c", script, self, "@signals")...)
	p.ready()
	proxy.Cut()
	p.finish().wantLost(t, "terminated\n", endingIt)

	// The shell ends at once, and its orphan does not want to.
	p = start(t, underRedis(url, "--kill-after", "0.1", "job", "--", "/bin/sh", "-c", script, self, "@deaf")...)
	p.ready()
	proxy.Cut()
	if out, err := io.ReadAll(p.out); err != nil || len(out) > 0 { // nobody has it open any more
		t.Errorf("read %q (%v)", out, err)
	}
	p.finish().wantLost(t, "", endingIt, "killing it")
}

// What was started before portalocker, and is its child since a shell became
// portalocker, is none of the command's.
func TestRunRedisLostSparesOthers(t *testing.T) {
	_, proxy, url := behindProxy(t)
	args := []string{"-c", `"$0" @signals & echo other $!; exec "$0" "$@"`, self}
	cmd := exec.Command("/bin/sh", append(args, underRedis(url, "job", "--", self, "@signals")...)...)
	cmd.Env = portalockerCommand().Env
	p := startCommand(t, cmd)
	other := 0
	for range 3 { // the shell, and two that are ready
		line, err := p.out.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Sscanf(line, "other %d", &other) // one of them
	}
	proxy.Cut()
	p.expect(p.out, "terminated")
	if status := p.end(); status != statusLost {
		t.Errorf("ended with %d", status)
	}
	for _, sig := range []syscall.Signal{unix.SIGHUP, unix.SIGTERM} {
		if err := unix.Kill(other, sig); err != nil {
			t.Fatal(err)
		}
		p.expect(p.out, sig.String())
	}
}

// lostLock is a lock that is lost before there is a command.
type lostLock struct{ redisLock }

func (lostLock) held() lease           { return lostLease{} }
func (lostLock) environment() []string { return nil }

type lostLease struct{ lease }

func (lostLease) Err() error { return redislock.ErrLost }

func TestRunDoesNotStartWithALostLock(t *testing.T) {
	o := &runOptions{command: []string{"must not be started"}}
	end := o.runUnder(&lostLock{}, &signals{}, streams{})
	if end.status != statusLost || !errors.Is(end, redislock.ErrLost) || !strings.Contains(end.err.Error(), "not started") {
		t.Error(end)
	}
}

// Where nobody reads what portalocker says, be it that the pipe is broken or full, the
// command and what it has started are ended all the same.
func TestRunRedisLostWithNobodyToTell(t *testing.T) {
	_, proxy, url := behindProxy(t)
	for _, broken := range []bool{true, false} {
		r, w := pipe(t)
		cmd := portalockerCommand(underRedis(url, "--kill-after", "0.1", "job", "--",
			"/bin/sh", "-c", `"$0" @deaf <&3 2>&3 & wait`, self)...)
		cmd.Stderr = w
		input, _ := pipe(t) // of the one that the shell leaves behind
		cmd.ExtraFiles = []*os.File{input}
		p := startCommand(t, cmd)
		p.ready()
		if broken {
			_ = r.Close()
		} else {
			fill(t, w)
		}
		proxy.Cut()
		if _, err := io.ReadAll(p.out); err != nil { // until the last one has ended
			t.Fatal(err)
		}
		if status := p.end(); status != statusLost {
			t.Errorf("broken: %v: status %d", broken, status)
		}
	}
}

// fill writes to a pipe until there is no more room.
func fill(t *testing.T, w *os.File) {
	t.Helper()
	fd := int(w.Fd())
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{4096, 1} {
		for {
			if _, err := unix.Write(fd, make([]byte, size)); err != nil {
				break
			}
		}
	}
	if err := unix.SetNonblock(fd, false); err != nil { // the process has the same open file
		t.Fatal(err)
	}
}
