package oslock_test

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/portalocker/portalocker/internal/oslock"
	"github.com/portalocker/portalocker/internal/testproc"
)

// waitsInKernel returns when somebody waits in the kernel for the file's lock. A
// POSIX lock is not waited for there.
func waitsInKernel(t *testing.T, m oslock.Mechanism, f *os.File) {
	t.Helper()
	if m == oslock.POSIX {
		return
	}
	testproc.Await(t, "somebody waits in the kernel", func() bool { return waiters(t, f) > 0 })
}

// waiters counts those that wait for a lock on the file, by /proc/locks: see
// proc_locks(5).
func waiters(t *testing.T, f *os.File) (n int) {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Fstat(int(f.Fd()), &st))
	file := fmt.Sprintf(" %02x:%02x:%d ", unix.Major(uint64(st.Dev)), unix.Minor(uint64(st.Dev)), st.Ino)
	locks, err := os.Open("/proc/locks")
	must(t, err)
	defer locks.Close() //nolint:errcheck // nothing was written
	lines := bufio.NewScanner(locks)
	for lines.Scan() {
		if strings.Contains(lines.Text(), " -> ") && strings.Contains(lines.Text(), file) {
			n++
		}
	}
	must(t, lines.Err())
	return n
}

// TestMeets: flock meets flock alone, OFD and POSIX locks meet each other.
// (Elsewhere flock and fcntl locks may meet, and OFD does not exist.)
func TestMeets(t *testing.T) {
	fcntl := func(m oslock.Mechanism) bool { return m == oslock.OFD || m == oslock.POSIX }
	for _, a := range available(t) {
		for _, b := range available(t) {
			t.Run(a.String()+" "+b.String(), func(t *testing.T) {
				path := newFile(t)
				f, other := open(t, path), start(t, b, path)
				must(t, oslock.Try(f.Fd(), a, oslock.Exclusive))
				if fcntl(a) == fcntl(b) {
					ask(t, other, "try exclusive", "locked")
				} else {
					ask(t, other, "try exclusive", "ok")
				}
			})
		}
	}
}

// TestPOSIXLeaksNoDescriptor counts what this process has open, since a deferred
// close could also close the os.File and leave the descriptor.
func TestPOSIXLeaksNoDescriptor(t *testing.T) {
	path := newFile(t)
	count := func() (n int) {
		fds, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		for _, fd := range fds {
			if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && to == path {
				n++
			}
		}
		return n
	}
	holder := open(t, path)
	must(t, oslock.Try(holder.Fd(), oslock.POSIX, oslock.Exclusive))
	for range 20 {
		f := open(t, path)
		mustBeLocked(t, oslock.Try(f.Fd(), oslock.POSIX, oslock.Exclusive))
		must(t, oslock.Close(f))
	}
	if n := count(); n != 21 {
		t.Fatalf("%d descriptors while the closes wait", n)
	}
	must(t, oslock.Unlock(holder.Fd(), oslock.POSIX))
	must(t, oslock.Close(holder))
	if n := count(); n != 0 {
		t.Errorf("%d descriptors are left", n)
	}
}
