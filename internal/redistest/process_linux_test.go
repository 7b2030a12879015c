package redistest_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portalocker/portalocker/internal/redistest"
	"github.com/portalocker/portalocker/internal/testproc"
)

// TestServerEndsWithTheTestBinary: a server ends when the process that started
// it is killed, and not before: not when the thread that started it would have
// ended.
func TestServerEndsWithTheTestBinary(t *testing.T) {
	t.Parallel()
	redistest.Program(t)
	cmd := testproc.Command(t, "server")
	cmd.Env = append(cmd.Env, "TMPDIR="+t.TempDir()) // what is killed cannot clean up
	p := testproc.StartCmd(t, cmd)
	addr := p.Expect("serves ")
	conn, err := net.Dial("tcp", addr)
	must(t, err)
	defer func() { must(t, conn.Close()) }()
	if !answers(t.Context(), conn) {
		t.Fatal("the server does not answer")
	}
	p.Kill()
	must(t, conn.SetReadDeadline(time.Now().Add(patience)))
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("its test binary is dead, and the server's client sees %v, not an end", err)
	}
	testproc.Await(t, "the server's port is closed", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
}

// TestServerOutlivesTheThreadThatStartedIt: the parent-death signal means the
// process, not one thread of it.
func TestServerOutlivesTheThreadThatStartedIt(t *testing.T) {
	t.Parallel()
	var s *redistest.Server
	thread := onThreadThatEnds(func() { s = redistest.Start(t) })
	if s == nil {
		return // skipped
	}
	testproc.Await(t, "the thread has ended", func() bool {
		_, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", thread))
		return err != nil
	})
	s.Do("PING")
}

// onThreadThatEnds runs f on a thread that ends with it, and returns its number.
func onThreadThatEnds(f func()) int {
	var thread int
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: so the thread ends with the goroutine
		thread = unix.Gettid()
		if thread != unix.Getpid() {
			f()
			return
		}
		// Only the first thread of the process never ends. While it waits here,
		// another is taken.
		thread = onThreadThatEnds(f)
		runtime.UnlockOSThread()
	}()
	<-done
	return thread
}

// serverRole is a test binary with a server, whose test never ends.
func serverRole(p *testproc.Peer, _ []string) error {
	t := &endless{}
	s := redistest.Start(t)
	p.Say("serves %s", s.Addr())
	_, _ = p.Hear()
	return nil
}

// endless is a test whose cleanups never run.
type endless struct{ testing.TB }

func (*endless) Helper()        {}
func (*endless) Cleanup(func()) {}
func (*endless) Failed() bool   { return false }

func (*endless) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

func (*endless) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// state is the state of a process: proc_pid_stat(5), field 3.
func state(t *testing.T, pid int) string {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	must(t, err)
	_, rest, _ := strings.Cut(string(stat), ") ")
	return rest[:1]
}
