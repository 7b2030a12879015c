package proclocks

import (
	"io/fs"
	"strconv"

	"golang.org/x/sys/unix"
)

// target is a file whose locks are looked for.
type target struct {
	dev, ino uint64 // as stat tells them
	id       FileID // as the table of locks has it
}

// lookUp finds the file that a path names, symlinks followed. It needs no
// permission for the file, and does nothing to a device.
func lookUp(path string) (target, error) {
	fd, err := open(unix.AT_FDCWD, path, unix.O_PATH)
	if err != nil {
		return target{}, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	t, err := newTarget(fd)
	if err != nil {
		return target{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return t, nil
}

// newTarget looks at an open file. Its device in the table of locks is the one of
// the mounted filesystem. stat tells another on btrfs, where each subvolume has a
// number of its own, and for files of overlayfs that lie on different filesystems
// (Documentation/filesystems/overlayfs.rst of Linux, "Inode properties").
func newTarget(fd int) (target, error) {
	var st unix.Stat_t
	if _, err := retry(func() (int, error) { return 0, unix.Fstat(fd, &st) }); err != nil {
		return target{}, err
	}
	t := target{dev: uint64(st.Dev), ino: st.Ino}
	t.id = FileID{unix.Major(t.dev), unix.Minor(t.dev), t.ino}
	content, err := read(unix.AT_FDCWD, "/proc/self/fdinfo/"+strconv.Itoa(fd), nil)
	if err != nil {
		return t, nil // what stat tells is right for most
	}
	info := parseInfo(content)
	mounts, err := read(unix.AT_FDCWD, "/proc/self/mountinfo", nil)
	if err != nil {
		return t, nil
	}
	if major, minor, ok := parseMountDevice(mounts, info.mount); ok {
		t.id.Major, t.id.Minor = major, minor
		if info.inode != 0 {
			t.id.Inode = info.inode
		}
	}
	return t, nil
}

// is says whether a descriptor is on that very file. On btrfs and overlayfs, files
// that stat tells apart can look the same in the table of locks.
func (t *target) is(d *descriptor) bool { return d.dev == t.dev && d.ino == t.ino }
