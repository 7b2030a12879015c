package main

import (
	"os/signal"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// signalsAsInC lets signals do what they do to a program in C that handles none: end
// it. Go would write a trace of its goroutines, or nothing would happen.
func signalsAsInC() {
	keepIgnored()
	for _, sig := range []unix.Signal{unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM} {
		if !signal.Ignored(sig) {
			defaultAction(sig)
		}
	}
}

// defaultAction takes a signal out of Go's hands, and reports whether that was done.
// The kernel's struct sigaction is zero for SIG_DFL without flags, whatever the
// architecture makes of its fields.
func defaultAction(sig unix.Signal) bool {
	var action [64]byte
	setSize := uintptr(8) // of the kernel's sigset_t, which it checks
	if strings.HasPrefix(runtime.GOARCH, "mips") {
		setSize = 16
	}
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&action)), 0, setSize, 0, 0)
	return errno == 0
}
