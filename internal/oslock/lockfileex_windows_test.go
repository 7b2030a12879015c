package oslock_test

import (
	"os"
	"testing"

	"golang.org/x/sys/windows"

	"github.com/portalocker/portalocker/internal/oslock"
	"github.com/portalocker/portalocker/internal/testproc"
)

// openOverlapped opens a file for asynchronous I/O. Go's runtime waits at a completion
// port for what ends there.
// The handle is f's: f.Fd would take it from there.
func openOverlapped(t *testing.T, path string) (f *os.File, handle uintptr) {
	t.Helper()
	name, err := windows.UTF16PtrFromString(path)
	must(t, err)
	h, err := windows.CreateFile(name, windows.GENERIC_READ|windows.GENERIC_WRITE,
		windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE, nil, windows.OPEN_EXISTING, windows.FILE_FLAG_OVERLAPPED, 0)
	must(t, err)
	f = os.NewFile(uintptr(h), path)
	t.Cleanup(func() { _ = f.Close() })
	return f, uintptr(h)
}

// TestOverlapped: on a file for asynchronous I/O a lock is had or refused when the call
// returns, and the file's own reads and writes go on.
func TestOverlapped(t *testing.T) {
	path := newFile(t)
	f, handle := openOverlapped(t, path)
	other := start(t, oslock.LockFileEx, path)
	for range 100 {
		must(t, oslock.Block(handle, oslock.LockFileEx, oslock.Exclusive))
		ask(t, other, "try exclusive", "locked")
		_, err := f.WriteAt([]byte("x"), 0)
		must(t, err)
		_, err = f.ReadAt(make([]byte, 1), 0)
		must(t, err)
		must(t, oslock.Unlock(handle, oslock.LockFileEx))
		ask(t, other, "try exclusive", "ok")
		mustBeLocked(t, oslock.Try(handle, oslock.LockFileEx, oslock.Exclusive))
		ask(t, other, "unlock", "ok")
		ask(t, other, "try exclusive", "ok")
		ask(t, other, "unlock", "ok")
	}
}

// TestOverlappedWait: such a request is pending while others hold the lock.
func TestOverlappedWait(t *testing.T) {
	testproc.NotUnderWine(t, "8.0 forgets a lock request that is pending on a file for asynchronous I/O")
	path := newFile(t)
	_, handle := openOverlapped(t, path)
	other := start(t, oslock.LockFileEx, path)
	for range 20 { // Block need not have begun to wait at the unlock, but will have, most of the time
		ask(t, other, "try exclusive", "ok")
		got := make(chan error)
		go func() { got <- oslock.Block(handle, oslock.LockFileEx, oslock.Exclusive) }()
		ask(t, other, "unlock", "ok")
		must(t, <-got)
		ask(t, other, "try exclusive", "locked")
		must(t, oslock.Unlock(handle, oslock.LockFileEx))
	}
}
