package portalocker_test

import (
	"os"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/portalocker/portalocker/internal/testproc"
)

// pause is nil: a process is not stopped as a whole there.
var pause, goOn func(*testproc.Process)

func mapShared(f *os.File, size int) (memory unsafe.Pointer, unmap func() error, err error) {
	mapping, err := windows.CreateFileMapping(windows.Handle(f.Fd()), nil, windows.PAGE_READWRITE, 0, uint32(size), nil)
	if err != nil {
		return nil, nil, err
	}
	defer windows.CloseHandle(mapping) //nolint:errcheck // the view keeps it
	address, err := windows.MapViewOfFile(mapping, windows.FILE_MAP_WRITE, 0, 0, uintptr(size))
	if err != nil {
		return nil, nil, err
	}
	// In this way vet sees that the number is an address, which is outside Go's heap.
	memory = *(*unsafe.Pointer)(unsafe.Pointer(&address))
	return memory, func() error { return windows.UnmapViewOfFile(address) }, nil
}

// alive says that a process runs, and is not about to end: its exit code is set
// before its handles are closed.
func alive(pid int) bool {
	process, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, uint32(pid))
	if err != nil {
		return false
	}
	defer windows.CloseHandle(process) //nolint:errcheck // it was only looked at
	const stillActive = 259            // STILL_ACTIVE of GetExitCodeProcess
	var code uint32
	return windows.GetExitCodeProcess(process, &code) == nil && code == stillActive
}
