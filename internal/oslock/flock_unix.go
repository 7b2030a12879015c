//go:build linux || darwin || dragonfly || freebsd || illumos || netbsd || openbsd

package oslock

import "syscall"

var flockFacility = facility{
	try:    func(fd uintptr, mode Mode) error { return flock(fd, flockHow(mode)|syscall.LOCK_NB) },
	block:  func(fd uintptr, mode Mode) error { return flock(fd, flockHow(mode)) },
	unlock: func(fd uintptr) error { return flock(fd, syscall.LOCK_UN) },
}

func flockHow(mode Mode) int {
	if mode == Shared {
		return syscall.LOCK_SH
	}
	return syscall.LOCK_EX
}

func flock(fd uintptr, how int) error {
	return retryEINTR(func() error { return syscall.Flock(int(fd), how) })
}
