//go:build unix

package portalocker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// absolute puts the working directory before a relative path. It does not use
// filepath.Join, which would take "link/../file" for "file", as the system does not
// when link is a symlink to a directory.
func absolute(path string) (string, error) {
	if filepath.IsAbs(path) {
		return path, nil
	}
	wd, err := os.Getwd()
	return wd + "/" + path, err
}

// open opens the target for a lock, without truncating it. Whatever lies at the
// path, it neither waits nor acts on a device: what is there is looked at before
// it is opened, and once more after, since it may have been exchanged in between.
// The fileID is zero if the file was trusted.
func (t *target) open(how opening) (*os.File, fileID, error) {
	isDir := false
	if !how.vetted && !how.access.excl {
		var err error
		if isDir, err = t.look(how.access); err != nil {
			return nil, fileID{}, err
		}
	}
	flags := t.flags(how.access, isDir)
	try := flags
	if how.vetted && !how.access.excl && !t.unlinked {
		try &^= unix.O_CREAT // it is most likely there, and then the kernel has less to do
	}
	fd, err := openRetry(t.path, try, how.perm)
	if err != nil {
		if fd, flags, err = t.openElse(how, try, flags, err); err != nil {
			if errors.Is(err, unix.EISDIR) && how.vetted {
				how.vetted = false // what was vetted may have been a directory, or is one now
				return t.open(how)
			}
			return nil, fileID{}, t.openError(err)
		}
	}
	var id fileID
	if !how.trusted || !seemsFit(fd) {
		if id, err = t.inspect(fd, how.access); err != nil {
			_ = unix.Close(fd)
			return nil, fileID{}, err
		}
	}
	if flags&unix.O_NONBLOCK != 0 {
		if err := unix.SetNonblock(fd, false); err != nil {
			_ = unix.Close(fd)
			return nil, fileID{}, &fs.PathError{Op: "open", Path: t.path, Err: err}
		}
	}
	return os.NewFile(uintptr(fd), t.path), id, nil
}

// look looks at what lies at the path, and whether that can be locked.
func (t *target) look(a access) (isDir bool, err error) {
	var st unix.Stat_t
	flags := 0
	if t.private {
		flags = unix.AT_SYMLINK_NOFOLLOW
	}
	if unix.Fstatat(unix.AT_FDCWD, t.path, &st, flags) != nil {
		return false, nil // an error of the open too, which reports it
	}
	mode := fileMode(&st)
	if !t.lockable(mode, a) {
		return false, errNotLockable(t.path, mode, t.private)
	}
	return mode.IsDir(), nil
}

func (t *target) flags(a access, isDir bool) int {
	flags := unix.O_CLOEXEC | unix.O_NOCTTY
	switch {
	case isDir:
		flags |= unix.O_RDONLY | unix.O_DIRECTORY
	case a.write:
		flags |= unix.O_RDWR // also for "w" and "a": it never waits for the other end of a pipe
	default:
		flags |= unix.O_RDONLY | unix.O_NONBLOCK
	}
	if a.create && !isDir {
		flags |= unix.O_CREAT
	}
	if a.excl {
		flags |= unix.O_EXCL
	}
	if a.append && !isDir {
		flags |= unix.O_APPEND
	}
	if t.private {
		flags |= unix.O_NOFOLLOW
	}
	return flags
}

// openElse opens in other ways what could not be opened with the flags in try, and
// tells with which it did.
func (t *target) openElse(how opening, try, flags int, err error) (int, int, error) {
	fd, a := -1, how.access
	if errors.Is(err, unix.ENOENT) && try != flags {
		fd, err = openRetry(t.path, flags, how.perm)
	}
	if errors.Is(err, unix.EACCES) && flags&unix.O_CREAT != 0 && !a.excl {
		// In a sticky directory Linux refuses O_CREAT for a file that is there and
		// somebody else's (fs.protected_regular of proc_sys_fs(5)).
		fd, err = openRetry(t.path, flags&^unix.O_CREAT, how.perm)
		if errors.Is(err, unix.ENOENT) {
			err = unix.EACCES
		}
	}
	if errors.Is(err, unix.EACCES) && a.write && !a.read && flags&unix.O_DIRECTORY == 0 {
		flags = flags&^unix.O_RDWR | unix.O_WRONLY | unix.O_NONBLOCK
		fd, err = openRetry(t.path, flags, how.perm)
	}
	return fd, flags, err
}

func (t *target) openError(err error) error {
	if t.private && (errors.Is(err, unix.ELOOP) || errors.Is(err, unix.EMLINK)) { // EMLINK: FreeBSD's open(2)
		err = fmt.Errorf("it may be a symbolic link, which is not followed here: %w", err)
	}
	return &fs.PathError{Op: "open", Path: t.path, Err: err}
}

// inspect makes sure that an open file can be locked.
func (t *target) inspect(fd int, a access) (fileID, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fileID{}, &fs.PathError{Op: "stat", Path: t.path, Err: err}
	}
	if mode := fileMode(&st); !t.lockable(mode, a) {
		return fileID{}, errNotLockable(t.path, mode, t.private)
	}
	if t.private && st.Nlink > 1 {
		// Where others can write, a second name may be how they pass off a file that
		// they could not touch; a mode may truncate it, and a holder write to it.
		return fileID{}, &fs.PathError{Op: "open", Path: t.path, Err: fmt.Errorf(
			"it has %d names (hard links); this lock needs a file of its own: remove this name if nobody holds the lock", st.Nlink)}
	}
	return fileID{uint64(st.Dev), uint64(st.Ino)}, nil
}

// identity is that of the open file or, before the open, of what the path names.
func (h *hold) identity() fileID {
	var st unix.Stat_t
	switch {
	case h.id != fileID{}:
	case h.file == nil && unix.Stat(h.path, &st) == nil, h.file != nil && unix.Fstat(int(h.fd), &st) == nil:
		h.id = fileID{uint64(st.Dev), uint64(st.Ino)}
	}
	return h.id
}

// lockable: a directory can be locked where nothing is to be written into it.
func (t *target) lockable(mode fs.FileMode, a access) bool {
	return mode.IsRegular() || mode.IsDir() && !t.private && !a.truncate && !a.excl
}

// names reports whether the path names the open file. A symlink is not followed,
// since only private targets are asked.
func (t *target) names(id fileID) (bool, error) {
	var st unix.Stat_t
	err := unix.Lstat(t.path, &st)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, &fs.PathError{Op: "lstat", Path: t.path, Err: err}
	}
	return fileID{uint64(st.Dev), uint64(st.Ino)} == id, nil
}

// canUnlinkOpenFiles: on Unix a lock file is unlinked before it is unlocked.
const canUnlinkOpenFiles = true

func removeClosed(string) error { return nil }

// needsOtherAccess says that the lock failed because of how the file is open.
// fcntl(2) answers EBADF for an exclusive lock on a file that is open for
// reading only; flock(2) does so too over NFS, where Linux makes it an fcntl
// lock, and over NFSv4 some versions answer EIO.
func needsOtherAccess(err error) bool {
	return errors.Is(err, unix.EBADF) || errors.Is(err, unix.EIO)
}

func openRetry(path string, flags int, perm fs.FileMode) (int, error) {
	for {
		fd, err := unix.Open(path, flags, uint32(perm))
		if err != unix.EINTR {
			return fd, err
		}
	}
}

func fileMode(st *unix.Stat_t) fs.FileMode {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return 0
	case unix.S_IFDIR:
		return fs.ModeDir
	case unix.S_IFIFO:
		return fs.ModeNamedPipe
	case unix.S_IFLNK:
		return fs.ModeSymlink
	case unix.S_IFSOCK:
		return fs.ModeSocket
	case unix.S_IFCHR, unix.S_IFBLK:
		return fs.ModeDevice
	}
	return fs.ModeIrregular
}
