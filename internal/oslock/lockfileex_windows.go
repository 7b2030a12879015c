package oslock

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/windows"
)

// The locked range is 0xFFFF0000 bytes from the start of the file. It meets those of
// Python portalocker's lockers, which begin at byte 0, too: 64 KiB of msvcrt.locking,
// and of LockFileEx 0xFFFF0000 times 4 GiB, as -0x10000 is the high half of the length
// there. Windows locks are mandatory: nobody else can read (exclusive) or write
// (either) a locked range.
const rangeLow, rangeHigh = 0xFFFF0000, 0

var lockFileExFacility = facility{
	try: func(fd uintptr, mode Mode) error {
		return lockFileEx(fd, mode, windows.LOCKFILE_FAIL_IMMEDIATELY)
	},
	block: func(fd uintptr, mode Mode) error { return lockFileEx(fd, mode, 0) },
	unlock: func(fd uintptr) error {
		err := windows.UnlockFileEx(windows.Handle(fd), 0, rangeLow, rangeHigh, new(windows.Overlapped))
		// Wine 8.0 says ERROR_LOCK_VIOLATION where Windows says ERROR_NOT_LOCKED.
		if errors.Is(err, windows.ERROR_NOT_LOCKED) || errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
			return nil
		}
		return sortError(err)
	},
}

// lockFileEx waits for its request, since on a handle for asynchronous I/O
// (FILE_FLAG_OVERLAPPED) that may be pending when the call returns: the file would be
// locked later, when nobody knows of it, and until then the system writes to the
// request. The low bit of the event, when set, keeps the request's end from the
// handle's completion port, where Go's runtime waits for the ends of its own
// (GetQueuedCompletionStatus).
func lockFileEx(fd uintptr, mode Mode, flags uint32) error {
	if mode == Exclusive {
		flags |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	ended, err := windows.CreateEvent(nil, 1, 0, nil)
	if err != nil {
		return err
	}
	defer windows.CloseHandle(ended) //nolint:errcheck // nobody else has it
	request := &windows.Overlapped{HEvent: ended | 1}
	var pinned runtime.Pinner
	pinned.Pin(request)
	defer pinned.Unpin()
	err = windows.LockFileEx(windows.Handle(fd), flags, 0, rangeLow, rangeHigh, request)
	if errors.Is(err, windows.ERROR_IO_PENDING) {
		var transferred uint32
		err = windows.GetOverlappedResult(windows.Handle(fd), request, &transferred, true)
	}
	return sortError(err)
}

func sortError(err error) error {
	switch {
	case errors.Is(err, windows.ERROR_LOCK_VIOLATION):
		return ErrLocked
	case errors.Is(err, windows.ERROR_NOT_SUPPORTED), errors.Is(err, windows.ERROR_CALL_NOT_IMPLEMENTED),
		errors.Is(err, windows.ERROR_INVALID_FUNCTION):
		return fmt.Errorf("%w by this filesystem: %w", errors.ErrUnsupported, err)
	}
	return err
}
