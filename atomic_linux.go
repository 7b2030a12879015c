package portalocker

import (
	"errors"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

var thisSystem = atomicSystem{nameless: createNameless, link: linkNameless, move: moveAt}

// createNameless opens a file that has no name yet, or fails with ErrUnsupported.
func createNameless(d *folder, perm fs.FileMode) (*os.File, error) {
	fd := -1
	err := retry(func() (err error) {
		fd, err = unix.Openat(d.fd(), ".", unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, uint32(perm))
		return err
	})
	switch err {
	case nil:
	case unix.EOPNOTSUPP, unix.EISDIR, unix.ENOENT, unix.EINVAL, unix.ENOSYS:
		// open(2), ERRORS: the filesystem or the kernel lacks O_TMPFILE. What else
		// ENOENT and EINVAL may mean, the next open will say.
		return nil, errors.ErrUnsupported
	default:
		return nil, err
	}
	f := os.NewFile(uintptr(fd), d.path+d.base)
	// Can it get a name later? The dot exists, so if nothing else is wrong this fails
	// with EEXIST. Without /proc (in a chroot) it may be ENOENT.
	if err := linkNameless(d, f, "."); err != unix.EEXIST {
		_ = f.Close()
		return nil, errors.ErrUnsupported
	}
	return f, nil
}

// linkNameless gives a file its name, or fails with EEXIST. open(2) describes both
// ways, in the paragraph on O_TMPFILE. The first one is open to everybody since
// Linux 6.10, and only to CAP_DAC_READ_SEARCH before, where it fails with ENOENT;
// the second one needs /proc.
func linkNameless(d *folder, f *os.File, name string) error {
	fd := int(f.Fd())
	err := retry(func() error { return unix.Linkat(fd, "", d.fd(), name, unix.AT_EMPTY_PATH) })
	if err == unix.ENOENT || err == unix.EINVAL {
		path := "/proc/self/fd/" + strconv.Itoa(fd)
		err = retry(func() error { return unix.Linkat(unix.AT_FDCWD, path, d.fd(), name, unix.AT_SYMLINK_FOLLOW) })
	}
	return err
}

func moveAt(d *folder, from, to string, replace bool) error {
	if replace {
		return d.rename(from, to)
	}
	err := retry(func() error { return unix.Renameat2(d.fd(), from, d.fd(), to, unix.RENAME_NOREPLACE) })
	// rename(2): EINVAL is a filesystem that lacks the flag, NFS for one, and ENOSYS
	// a kernel before 3.15.
	if err == unix.EINVAL || err == unix.ENOSYS {
		return errors.ErrUnsupported
	}
	return err
}
