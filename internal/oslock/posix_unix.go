//go:build unix

package oslock

import (
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Traditional fcntl(2) locks belong to the process. The kernel neither lets two
// descriptors of one process exclude each other, nor keeps a lock when the
// process closes any other descriptor of the same file. Both are made good
// here: a table of this process's locks by inode, and closes that wait until
// the process has no lock on the inode any more.
var posixFacility = facility{try: posixTry, block: posixBlock, unlock: posixUnlock}

type inode struct{ dev, ino uint64 }

// posixFile is what this process holds on one inode.
type posixFile struct {
	locks  map[uintptr]Mode // by descriptor; never empty while the entry is in the table
	closes []*os.File       // to be closed with the last lock
}

var posix = struct {
	sync.Mutex
	files map[inode]*posixFile
}{files: map[inode]*posixFile{}}

func posixTry(fd uintptr, mode Mode) error {
	id, err := inodeOf(fd)
	if err != nil {
		return err
	}
	posix.Lock()
	defer posix.Unlock()
	file := posix.files[id]
	if file == nil {
		file = &posixFile{locks: map[uintptr]Mode{}}
	}
	for other, held := range file.locks {
		if other == fd || (held == Shared && mode == Shared) {
			continue
		}
		if now, err := inodeOf(other); err == nil && now == id {
			return ErrLocked
		}
		delete(file.locks, other) // closed behind our back: the kernel has dropped that lock
	}
	if err := fcntlLock(fd, unix.F_SETLK, fcntlType(mode)); err != nil {
		return err // a failed conversion leaves the old lock as it was
	}
	file.locks[fd] = mode
	posix.files[id] = file
	return nil
}

// posixBlock asks again and again: a wait in the kernel could not see the locks
// of this process, and reports false deadlocks, since the kernel takes all
// threads of a process for one owner.
func posixBlock(fd uintptr, mode Mode) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 250*time.Millisecond) {
		if err := posixTry(fd, mode); err != ErrLocked {
			return err
		}
		time.Sleep(pause)
	}
}

func posixUnlock(fd uintptr) error {
	id, err := inodeOf(fd)
	if err != nil {
		return err
	}
	posix.Lock()
	defer posix.Unlock()
	file := posix.files[id]
	if file == nil {
		return fcntlLock(fd, unix.F_SETLK, unix.F_UNLCK)
	}
	delete(file.locks, fd)
	if len(file.locks) > 0 {
		return nil // the remaining holders share, and the kernel has one lock for all of them
	}
	err = fcntlLock(fd, unix.F_SETLK, unix.F_UNLCK)
	delete(posix.files, id)
	for _, f := range file.closes {
		_ = f.Close() // nobody is left to tell; what the holder wrote, its own Close reported
	}
	return err
}

// Close closes a file that was, or was to be, locked by the mechanism. With
// POSIX, a file that others of this process still hold is closed after them.
func Close(f *os.File, m Mechanism) error {
	if m, _ = Resolve(m); m != POSIX {
		return f.Close()
	}
	var id inode
	conn, err := f.SyscallConn()
	if err == nil {
		var statErr error
		err = conn.Control(func(fd uintptr) { id, statErr = inodeOf(fd) })
		if err == nil {
			err = statErr
		}
	}
	if err != nil {
		return f.Close()
	}
	posix.Lock()
	defer posix.Unlock()
	if file := posix.files[id]; file != nil {
		file.closes = append(file.closes, f)
		return nil
	}
	return f.Close()
}

func inodeOf(fd uintptr) (inode, error) {
	var st unix.Stat_t
	err := retryEINTR(func() error { return unix.Fstat(int(fd), &st) })
	return inode{uint64(st.Dev), uint64(st.Ino)}, err
}

func fcntlLock(fd uintptr, cmd int, typ int16) error {
	return retryEINTR(func() error {
		// Start and Len 0, from the file's start: the whole file, however it grows.
		return unix.FcntlFlock(fd, cmd, &unix.Flock_t{Type: typ})
	})
}

func fcntlType(mode Mode) int16 {
	if mode == Shared {
		return unix.F_RDLCK
	}
	return unix.F_WRLCK
}
