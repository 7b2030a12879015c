//go:build unix

package main

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// openForFlock opens a file for as little as flock(1) does: a directory can be
// locked, a file that may only be read, and a device. Of a named pipe it does not
// wait for the other end, nor of a modem for a carrier, as flock(1) would.
func openForFlock(path string, how int) (*os.File, error) {
	flags := how | unix.O_NOCTTY | unix.O_CLOEXEC
	var st unix.Stat_t
	nonblock := unix.Stat(path, &st) == nil && (st.Mode&unix.S_IFMT == unix.S_IFIFO || st.Mode&unix.S_IFMT == unix.S_IFCHR)
	if nonblock {
		flags |= unix.O_NONBLOCK
	}
	const perm = 0o666
	fd, err := openRetry(path, flags, perm)
	if errors.Is(err, unix.EISDIR) {
		flags &^= unix.O_CREAT // Linux takes that for the wish to write a directory
		fd, err = openRetry(path, flags, perm)
	}
	if err != nil {
		return nil, err
	}
	if nonblock {
		if err := unix.SetNonblock(fd, false); err != nil { // the command is to inherit what it would from flock(1)
			_ = unix.Close(fd)
			return nil, err
		}
	}
	return os.NewFile(uintptr(fd), path), nil
}

func openRetry(path string, flags int, perm uint32) (int, error) {
	for {
		fd, err := unix.Open(path, flags, perm)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

// inheritedFile is a file that whoever started this program has left open for it.
// Others are not: Go opens files for itself, but always to be closed by execve(2).
func inheritedFile(fd int) (*os.File, error) {
	if fd < 0 {
		return nil, unix.EBADF
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil {
		return nil, err
	}
	if flags&unix.FD_CLOEXEC != 0 || standIn(fd) {
		return nil, unix.EBADF
	}
	return os.NewFile(uintptr(fd), "descriptor "+strconv.Itoa(fd)), nil
}
