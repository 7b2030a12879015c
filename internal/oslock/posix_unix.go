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
	takers map[uintptr]bool // descriptors that had one since the entry is in the table
	closes []*os.File       // to be closed with the last lock
}

// Closes have it locked for reading, and all else for writing: no lock comes about
// while a close is under way that would drop it, and closes do not wait for each
// other.
var posix = struct {
	sync.RWMutex
	files map[inode]*posixFile
}{files: map[inode]*posixFile{}}

func posixTry(fd uintptr, mode Mode) error {
	id, err := inodeOf(fd)
	if err != nil {
		return err
	}
	posix.Lock()
	defer posix.Unlock()
	err = posixTryLocked(fd, id, mode)
	if file := posix.files[id]; err == ErrLocked && file != nil && file.dropped(id) {
		// A descriptor was closed behind our back, and with it all locks went.
		delete(posix.files, id)
		err = posixTryLocked(fd, id, mode)
		file.closeAll()
	}
	return err
}

// dropped says that the kernel has none of the locks that the table has. Its one lock
// for all that share is with any descriptor that took part, be it unlocked by now
// (posix_lock_inode of Linux's fs/locks.c keeps the first).
func (f *posixFile) dropped(id inode) bool {
	for fd := range f.takers {
		if now, err := inodeOf(fd); err == nil && now == id && !posixDropped(fd) {
			return false
		}
	}
	return true
}

func posixTryLocked(fd uintptr, id inode, mode Mode) error {
	file := posix.files[id]
	if file == nil {
		file = &posixFile{locks: map[uintptr]Mode{}, takers: map[uintptr]bool{}}
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
	file.locks[fd], file.takers[fd] = mode, true
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
	file.closeAll()
	return err
}

// Held says that a POSIX lock of this process on an inode is in the way of another one.
// Who asks before it opens the file leaves no descriptor whose close has to wait.
func Held(dev, ino uint64, mode Mode) bool {
	posix.RLock()
	defer posix.RUnlock()
	id := inode{dev, ino}
	file := posix.files[id]
	if file == nil {
		return false
	}
	for fd, held := range file.locks {
		if held == Shared && mode == Shared {
			continue
		}
		if now, err := inodeOf(fd); err == nil && now == id {
			return !file.dropped(id)
		}
	}
	return false
}

// closeAll does the closes that have waited. Nobody is left to tell of an error;
// what a holder wrote, its own close reported.
func (f *posixFile) closeAll() {
	for _, file := range f.closes {
		_ = file.Close()
	}
	f.closes = nil
}

// Forget tells that a descriptor of an inode was closed by somebody else, with
// whatever lock it had: its number may mean another file by now.
func Forget(dev, ino uint64, fd uintptr) {
	posix.Lock()
	defer posix.Unlock()
	id := inode{dev, ino}
	if now, err := inodeOf(fd); err == nil && now == id && !posixDropped(fd) {
		return // the number is another descriptor's by now, which has locked the same file
	}
	if file := posix.files[id]; file != nil {
		delete(file.locks, fd)
		if len(file.locks) == 0 {
			delete(posix.files, id)
			file.closeAll()
		}
	}
}

// Close closes a file that was, or was to be, locked. If this process has a POSIX
// lock on the inode, by whatever descriptor, the close waits for its end.
func Close(f *os.File) error {
	posix.RLock()
	if len(posix.files) == 0 {
		defer posix.RUnlock()
		return f.Close()
	}
	posix.RUnlock()
	posix.Lock()
	defer posix.Unlock()
	file, id, fd := posixFileOf(f)
	if file == nil {
		return f.Close()
	}
	delete(file.locks, fd) // its own lock ends with it
	file.closes = append(file.closes, f)
	if len(file.locks) == 0 {
		delete(posix.files, id)
		file.closeAll()
	}
	return nil
}

func posixFileOf(f *os.File) (file *posixFile, id inode, number uintptr) {
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, inode{}, 0
	}
	_ = conn.Control(func(fd uintptr) { // fails for a closed file, of which there is nothing to know
		if id, err = inodeOf(fd); err == nil {
			file, number = posix.files[id], fd
		}
	})
	return file, id, number
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
