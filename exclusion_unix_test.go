//go:build unix

package portalocker_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/portalocker/portalocker/internal/testproc"
)

// pause and goOn stop a process and let it run on.
var pause, goOn = (*testproc.Process).Stop, (*testproc.Process).Continue

func mapShared(f *os.File, size int) (memory unsafe.Pointer, unmap func() error, err error) {
	bytes, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, err
	}
	return unsafe.Pointer(&bytes[0]), func() error { return unix.Munmap(bytes) }, nil
}

// alive says that a process runs or is stopped, but is not about to end.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		if _, noProc := os.Stat("/proc/self/stat"); noProc != nil {
			return syscall.Kill(pid, 0) == nil
		}
		return false
	}
	// proc_pid_stat(5): after the name in parentheses come the state and, seven
	// fields on, the flags; PF_EXITING is 4 (linux/sched.h).
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	flags, _ := strconv.Atoi(fields[6])
	return fields[0] != "Z" && fields[0] != "X" && flags&4 == 0
}
