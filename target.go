package portalocker

import (
	"errors"
	"fmt"
	"io/fs"
)

// target is the file that a lock locks.
type target struct {
	name string // as it was given, for messages
	path string // absolute from the constructor on, so that a later chdir changes nothing
	err  error  // why there is no path

	// private says that the file belongs to the lock alone and may lie in a
	// directory that others can write: a symlink in the last component is then
	// refused, and so is a directory, and who has locked the file looks whether the
	// path still names it.
	private bool

	// unlinked says that releasing the lock unlinks the file.
	unlinked bool
}

func newTarget(path string) target {
	t := target{name: path}
	if path == "" {
		t.err = errors.New("the path is empty")
		return t
	}
	if t.path, t.err = absolute(path); t.err != nil {
		t.err = fmt.Errorf("cannot resolve the relative path: %w", t.err)
	}
	return t
}

// opening is how to open a target.
type opening struct {
	access  access
	perm    fs.FileMode
	vetted  bool // an earlier open of this path found a file that is fit to be opened
	trusted bool // and that was a moment ago
}

// fileID tells files apart for as long as one of them is open.
type fileID struct{ dev, ino uint64 }

// errNotLockable says what kind of file was found instead of one to lock.
func errNotLockable(path string, mode fs.FileMode, private bool) error {
	kind := "a special file"
	switch {
	case mode.IsDir():
		kind = "a directory"
	case mode&fs.ModeNamedPipe != 0:
		kind = "a named pipe"
	case mode&fs.ModeSocket != 0:
		kind = "a socket"
	case mode&fs.ModeDevice != 0:
		kind = "a device"
	case mode&fs.ModeSymlink != 0:
		kind = "a symbolic link, which is not followed here"
	}
	want := "a regular file or a directory"
	if private || mode.IsDir() {
		want = "a regular file"
	}
	return &fs.PathError{Op: "open", Path: path, Err: fmt.Errorf("it is %s; this lock needs %s", kind, want)}
}
