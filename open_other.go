//go:build !unix

package portalocker

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// absolute resolves a relative path, also one on another drive or on none. What
// stands after the last separator stays as it is: filepath.Abs would make the name of
// a file out of a path that ends in none.
func absolute(path string) (string, error) {
	dir, base := filepath.Split(path)
	if base != "" && base != "." && base != ".." {
		return filepath.Abs(path)
	}
	dir, err := filepath.Abs(dir)
	if err == nil && !os.IsPathSeparator(dir[len(dir)-1]) {
		dir += string(filepath.Separator)
	}
	return dir + base, err
}

// open opens the target for a lock, without truncating it. What lies at the path
// is looked at before it is opened, and once more after.
func (t *target) open(how opening) (*os.File, fileID, error) {
	a := how.access
	if !how.vetted && !a.excl {
		look := os.Stat
		if t.private {
			look = os.Lstat
		}
		if info, err := look(t.path); err == nil && !info.Mode().IsRegular() {
			return nil, fileID{}, errNotLockable(t.path, info.Mode(), true)
		}
	}
	flags := os.O_RDONLY
	if a.write {
		flags = os.O_RDWR
	}
	if a.create {
		flags |= os.O_CREATE
	}
	if a.excl {
		flags |= os.O_EXCL
	}
	if a.append {
		flags |= os.O_APPEND
	}
	f, err := t.openFile(flags, how.perm)
	if err != nil {
		return nil, fileID{}, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errNotLockable(t.path, info.Mode(), true)
	}
	if err != nil {
		return nil, fileID{}, errors.Join(err, f.Close())
	}
	return f, fileID{}, nil
}

// openFile opens a file that others may be removing. Until that is complete it
// cannot be opened: who removes it has it open in a way that package os does not
// share, and then its name is there still, of a file that is gone. That takes
// moments, so it is tried again for a little while.
func (t *target) openFile(flags int, perm fs.FileMode) (*os.File, error) {
	for pause := time.Millisecond; ; pause *= 2 {
		f, err := os.OpenFile(t.path, flags, perm)
		if !t.private || !openElsewhere(err) || pause > 64*time.Millisecond {
			return f, err
		}
		time.Sleep(pause)
	}
}

// identity is not needed where names is always true.
func (h *hold) identity() fileID { return h.id }

// names: an open file cannot be removed or replaced on Windows, so the path
// names it for as long as it is open.
func (t *target) names(fileID) (bool, error) { return true, nil }

// canUnlinkOpenFiles: Windows does not remove a file that is open.
const canUnlinkOpenFiles = false

// removeClosed removes the file of a lock that has just been released. Virus
// scanners and indexers open files for moments, so it tries for a little while. That
// is a short one, since most often it is others who wait for the lock that have the
// file open, and the last of them will remove it.
func removeClosed(path string) error {
	for pause := time.Millisecond; ; pause *= 2 {
		err := os.Remove(path)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		switch {
		case !openElsewhere(err):
			return err
		case pause > 8*time.Millisecond:
			return nil
		}
		time.Sleep(pause)
	}
}

func needsOtherAccess(error) bool { return false }
