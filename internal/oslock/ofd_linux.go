package oslock

import "golang.org/x/sys/unix"

// Open-file-description locks, fcntl(2) since Linux 3.15: byte-range locks that
// belong to the descriptor's open file description, so threads exclude each
// other and a close elsewhere in the process drops nothing.
var ofdFacility = facility{
	try:    func(fd uintptr, mode Mode) error { return ofd(fd, unix.F_OFD_SETLK, fcntlType(mode)) },
	block:  func(fd uintptr, mode Mode) error { return ofd(fd, unix.F_OFD_SETLKW, fcntlType(mode)) },
	unlock: func(fd uintptr) error { return ofd(fd, unix.F_OFD_SETLK, unix.F_UNLCK) },
}

func ofd(fd uintptr, cmd int, typ int16) error {
	return retryEINTR(func() error {
		// Pid must be 0 for the OFD commands; Start and Len 0 are the whole file.
		return unix.FcntlFlock(fd, cmd, &unix.Flock_t{Type: typ})
	})
}
