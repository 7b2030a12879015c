package portalocker

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/windows"

	"github.com/portalocker/portalocker/internal/oslock"
)

var thisSystem = atomicSystem{move: moveThrough, lock: lockFar, unlock: unlockFar}

// moveThrough renames by MoveFileEx, which with MOVEFILE_WRITE_THROUGH comes back
// when the rename is on the disk. The draft is open meanwhile; package os opens it
// so that this is allowed. A destination that somebody has open in another way, as
// virus scanners and indexers do for moments, cannot be replaced, so that is tried
// for a little while.
func moveThrough(d *folder, from, to string, replace bool) error {
	source, err := windows.UTF16PtrFromString(d.path + from)
	if err != nil {
		return err
	}
	target, err := windows.UTF16PtrFromString(d.path + to)
	if err != nil {
		return err
	}
	flags := uint32(windows.MOVEFILE_WRITE_THROUGH)
	if replace {
		flags |= windows.MOVEFILE_REPLACE_EXISTING
	}
	for pause := time.Millisecond; ; pause *= 2 {
		err := windows.MoveFileEx(source, target, flags)
		if err == nil || !openElsewhere(err) || pause > 512*time.Millisecond {
			return err
		}
		if _, statErr := d.lstat(to); statErr == nil && !replace {
			return fs.ErrExist
		}
		time.Sleep(pause)
	}
}

// farAway is the byte that a draft's lock is on. Locks are mandatory here, so it is
// one that no content reaches: a moment after its publication a reader may meet it.
var farAway = windows.Overlapped{OffsetHigh: 1 << 30}

func lockFar(f *os.File) error {
	return withFD(f, func(fd uintptr) error {
		at := farAway
		err := windows.LockFileEx(windows.Handle(fd), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)
		if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
			return oslock.ErrLocked
		}
		return err
	})
}

func unlockFar(f *os.File) error {
	return withFD(f, func(fd uintptr) error {
		at := farAway
		return windows.UnlockFileEx(windows.Handle(fd), 0, 1, 0, &at)
	})
}
