package portalocker

import "golang.org/x/sys/unix"

var thisSystem = atomicSystem{move: moveAt}

func moveAt(d *folder, from, to string, replace bool) error {
	if replace {
		return d.rename(from, to)
	}
	// renameatx_np(2): ENOTSUP on a volume that lacks the flag.
	return retry(func() error { return unix.RenameatxNp(d.fd(), from, d.fd(), to, unix.RENAME_EXCL) })
}
