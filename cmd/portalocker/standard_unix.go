//go:build unix

package main

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// standIn says that a standard stream was closed when this program began: Go opens
// /dev/null in its place, for reading and writing, before anything here runs. Who has
// redirected a stream has it for one of the two; who has it for both, as Python's
// subprocess.DEVNULL, cannot be told from that.
func standIn(fd int) bool {
	if fd > 2 {
		return false
	}
	var null, st unix.Stat_t
	if unix.Stat("/dev/null", &null) != nil || unix.Fstat(fd, &st) != nil {
		return false
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	return err == nil && flags&unix.O_ACCMODE == unix.O_RDWR &&
		st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == null.Rdev
}

// writable waits until a line can be written, or would fail at once, but not longer than
// patience. It needs no descriptor, as Go's timers and goroutines may, since there may be
// none left, which is to be told.
func writable(f *os.File, patience time.Duration) bool {
	fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLOUT}}
	for end := time.Now().Add(patience); ; {
		n, err := unix.Poll(fds, int(max(time.Until(end), 0).Milliseconds()))
		if !errors.Is(err, unix.EINTR) {
			return n > 0 || err != nil
		}
	}
}
