//go:build unix

package portalocker

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// folder is the directory of a destination. Names are relative to it as it was
// opened, wherever it has been moved since.
type folder struct {
	dir  *os.File
	path string // with a separator at its end
	base string // the destination
}

// entry is what a name in a folder stands for.
type entry struct {
	mode     fs.FileMode
	uid, gid uint32
	id       fileID
}

func openFolder(path string) (d folder, err error) {
	if d.path, d.base, err = splitPath(path); err != nil {
		return d, err
	}
	// O_DIRECTORY: to open a named pipe would wait for its other end.
	fd, err := openRetry(d.path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return d, err
	}
	d.dir = os.NewFile(uintptr(fd), d.path)
	return d, nil
}

func (d *folder) lstat(name string) (entry, error) {
	var st unix.Stat_t
	if err := retry(func() error { return unix.Fstatat(d.fd(), name, &st, unix.AT_SYMLINK_NOFOLLOW) }); err != nil {
		return entry{}, err
	}
	return entryOf(&st), nil
}

func (d *folder) open(name string, flags int, perm fs.FileMode) (f *os.File, err error) {
	fd := -1
	err = retry(func() (err error) {
		// O_NONBLOCK matters if the name is not what it was a moment ago, but a pipe.
		fd, err = unix.Openat(d.fd(), name, flags|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NOCTTY|unix.O_NONBLOCK, uint32(perm))
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), d.path+name), nil
}

func (d *folder) rename(from, to string) error {
	return retry(func() error { return unix.Renameat(d.fd(), from, d.fd(), to) })
}

// link makes a second name. Not all systems' linkat is in x/sys/unix, but os.Root
// has it.
func (d *folder) link(from, to string) error {
	root, err := os.OpenRoot(d.path)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // nothing was written
	now, err := root.Stat(".")
	if err != nil {
		return err
	}
	opened, err := d.dir.Stat()
	if err != nil {
		return err
	}
	if !os.SameFile(now, opened) {
		return errors.New("its folder has been moved")
	}
	return root.Link(from, to)
}

func (d *folder) remove(name string) error {
	return retry(func() error { return unix.Unlinkat(d.fd(), name, 0) })
}

// sync makes the names in the folder survive a power failure. Some systems and
// filesystems cannot sync a folder at all, and say so with EINVAL, EBADF (AIX) or
// ENOTSUP: with them there is nothing that could be done. PostgreSQL's fsync_fname
// (src/backend/storage/file/fd.c) takes them so, too.
func (d *folder) sync() error {
	err := d.dir.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EBADF) || errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}

func (d *folder) close() error { return d.dir.Close() }

// plants reports whether an entry may have been put there to be inherited from: in
// a sticky folder that others can write it is a stranger's. Linux draws the same
// line with fs.protected_regular (proc_sys_fs(5)).
func (d *folder) plants(e entry) (bool, error) {
	if int(e.uid) == os.Geteuid() {
		return false, nil
	}
	var st unix.Stat_t
	if err := retry(func() error { return unix.Fstat(d.fd(), &st) }); err != nil {
		return false, err
	}
	return st.Mode&unix.S_ISVTX != 0 && st.Mode&0o022 != 0 && e.uid != st.Uid, nil
}

// fd is valid while the folder is open; an AtomicFile's mutex sees to that.
func (d *folder) fd() int { return int(d.dir.Fd()) }

func statFile(f *os.File) (entry, error) {
	var st unix.Stat_t
	if err := retry(func() error { return unix.Fstat(int(f.Fd()), &st) }); err != nil {
		return entry{}, err
	}
	return entryOf(&st), nil
}

func entryOf(st *unix.Stat_t) entry {
	return entry{
		mode: fileMode(st) | fs.FileMode(st.Mode)&fs.ModePerm,
		uid:  st.Uid,
		gid:  st.Gid,
		id:   fileID{uint64(st.Dev), uint64(st.Ino)},
	}
}

func sameFile(a, b entry) bool { return a.id == b.id }

// inherit gives a draft the owner, the group and the permission bits of the file
// that it is to replace. Only root may give files away, and others only to groups
// of their own. Where the group is not kept, its members must not get what the bits
// granted to the old group: they get no more than others have.
func inherit(draft *os.File, old entry) error {
	now, err := statFile(draft)
	if err != nil {
		return err
	}
	perm := old.mode.Perm()
	if old.uid != now.uid || old.gid != now.gid {
		err := draft.Chown(int(old.uid), int(old.gid))
		if cannotGive(err) && old.gid != now.gid {
			err = draft.Chown(-1, int(old.gid))
			if cannotGive(err) {
				perm &= 0o707 | perm<<3
			}
		}
		if err != nil && !cannotGive(err) {
			return err
		}
	}
	if perm == now.mode.Perm() {
		return nil
	}
	return draft.Chmod(perm)
}

// cannotGive: not allowed, or, in a user namespace, an owner that has no number
// there (EINVAL), or a filesystem without owners.
func cannotGive(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported)
}

// retry calls f until no signal interrupts it.
func retry(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}

// readFrom leaves the copying to the kernel where it can do that.
func (f *AtomicFile) readFrom(r io.Reader) (int64, error) { return f.file.ReadFrom(r) }
