//go:build amd64 || arm64

package oslock_test

import (
	"os"
	"os/signal"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/portalocker/portalocker/internal/oslock"
	"github.com/portalocker/portalocker/internal/testproc"
)

func init() { roles["interrupted"] = interruptedRole }

// interruptedRole blocks in a lock, and sends a signal to just the thread that
// does, for each line it hears. It says "returned ..." when the lock call is over.
func interruptedRole(p *testproc.Peer, args []string) error {
	m, err := mechanism(args[0])
	if err != nil {
		return err
	}
	f, err := os.OpenFile(args[1], os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // the process ends
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGUSR1)
	if err := interrupting(unix.SIGUSR1); err != nil {
		return err
	}
	thread := make(chan int)
	go func() {
		runtime.LockOSThread()
		thread <- unix.Gettid()
		if err := oslock.Block(f.Fd(), m, oslock.Exclusive); err != nil {
			p.Say("returned %v", err)
		} else {
			p.Say("returned ok")
		}
	}()
	tid := <-thread
	for {
		if _, ok := p.Hear(); !ok {
			return nil
		}
		if err := unix.Tgkill(os.Getpid(), tid, unix.SIGUSR1); err != nil {
			return err
		}
		<-signals
		p.Say("interrupted")
	}
}

// interrupting makes a signal interrupt system calls, as handlers of C programs
// and libraries in the same process may: Go installs its own with SA_RESTART,
// with which flock(2) and fcntl(2) never answer EINTR; see signal(7).
func interrupting(sig unix.Signal) error {
	// The kernel's struct sigaction of amd64 and arm64.
	var action struct {
		handler  uintptr
		flags    uint64
		restorer uintptr
		mask     uint64
	}
	const saRestart = 0x10000000
	if _, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), 0, uintptr(unsafe.Pointer(&action)), 8, 0, 0); errno != 0 {
		return errno
	}
	action.flags &^= saRestart
	if _, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// TestBlockIsInterrupted: signals make the kernel give up the wait with EINTR, and
// the caller must not see that.
func TestBlockIsInterrupted(t *testing.T) {
	for _, m := range []oslock.Mechanism{oslock.Flock, oslock.OFD} {
		t.Run(m.String(), func(t *testing.T) {
			path := newFile(t)
			f := open(t, path)
			must(t, oslock.Try(f.Fd(), m, oslock.Exclusive))
			other := testproc.Start(t, "interrupted", m.String(), path)
			for range 20 {
				testproc.Await(t, "the process waits again", func() bool { return waiters(t, f) > 0 || len(other.Lines()) > 0 })
				other.Say("signal")
				other.Expect("interrupted")
			}
			must(t, oslock.Unlock(f.Fd(), m))
			other.Expect("returned ok")
			mustBeLocked(t, oslock.Try(f.Fd(), m, oslock.Exclusive))
		})
	}
}
