//go:build unix

package portalocker_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/portalocker/portalocker"
)

// TestPermissions of new files: those of the option less the umask, of each file
// that a kind makes. A file that is there keeps its own.
func TestPermissions(t *testing.T) {
	for _, test := range []struct {
		umask int
		perm  fs.FileMode // 0 for the default
		want  fs.FileMode
	}{
		{0o022, 0, 0o644}, {0o000, 0, 0o666}, {0o077, 0, 0o600}, {0o027, 0o660, 0o640}, {0o000, 0o777, 0o777}, {0o022, 0o400, 0o400},
	} {
		for kind, files := range map[string][]string{
			"lock": {"x"}, "rlock": {"x"}, "temporary": {"x"}, "pid": {"x", "x.lock"},
		} {
			old := syscall.Umask(test.umask)
			dir := t.TempDir()
			var opts []portalocker.Option
			if test.perm != 0 {
				opts = append(opts, portalocker.WithPerm(test.perm))
			}
			l, acquire := newLock(kind, filepath.Join(dir, "x"), opts...)
			err := acquire(t.Context())
			syscall.Umask(old)
			must(t, err)
			for _, file := range files {
				info, err := os.Lstat(filepath.Join(dir, file))
				must(t, err)
				if info.Mode() != test.want {
					t.Errorf("%s: %s has %v with umask %#o and perm %#o", kind, file, info.Mode(), test.umask, test.perm)
				}
			}
			must(t, l.Release())
		}
	}
	path := filepath.Join(t.TempDir(), "x")
	must(t, os.WriteFile(path, nil, 0o640))
	must(t, os.Chmod(path, 0o640))
	l := portalocker.New(path, portalocker.WithPerm(0o600), portalocker.WithMode("w"))
	_, err := l.Acquire(t.Context())
	must(t, err)
	must(t, l.Release())
	if info, err := os.Lstat(path); err != nil || info.Mode() != 0o640 {
		t.Errorf("a file that was there has %v, %v", info.Mode(), err)
	}
}

// TestFileIsNotInherited: a program that the holder starts does not get the file,
// and with it the lock, unless it is handed over.
func TestFileIsNotInherited(t *testing.T) {
	for _, kind := range []string{"lock", "rlock", "temporary"} {
		l, acquire := fileLock(kind, filepath.Join(t.TempDir(), "x"))
		f, err := acquire(t.Context())
		must(t, err)
		flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("%s: the descriptor's flags are %#x, %v", kind, flags, err)
		}
		must(t, l.Release())
	}
}

// TestMechanisms lock in this process and meet themselves in another one.
func TestMechanisms(t *testing.T) {
	for _, m := range []portalocker.Mechanism{portalocker.Flock, portalocker.OFD, portalocker.POSIX} {
		for _, kind := range kinds {
			t.Run(m.String()+"/"+kind, func(t *testing.T) {
				if !hasMechanism(m.String()) {
					t.Skip("not on this platform")
				}
				dir := t.TempDir()
				path := filepath.Join(dir, "x")
				l, acquire := newLock(kind, path, portalocker.WithMechanism(m))
				_, again := newLock(kind, path, portalocker.WithMechanism(m), portalocker.WithTimeout(0))
				for range 2 {
					must(t, acquire(t.Context()))
					mustBeLocked(t, again(t.Context()))
					if _, answer := taker(t, kind, path, "mechanism="+m.String()); answer != "locked" {
						t.Errorf("another process: %s", answer)
					}
					must(t, l.Release())
					nothingOpen(t, dir)
				}
				p, answer := taker(t, kind, path, "mechanism="+m.String())
				if answer != "ok" {
					t.Fatalf("another process: %s", answer)
				}
				mustBeLocked(t, acquire(t.Context(), portalocker.WithTimeout(0)))
				p.Kill()
				must(t, acquire(t.Context()))
				must(t, l.Release())
				nothingOpen(t, dir)
			})
		}
	}
}

// TestMechanismsLeaveEachOtherAlone: a lock of this package by one mechanism does
// not make the kernel drop this process's lock by another on the same file, as
// closing a file does to POSIX locks.
func TestMechanismsLeaveEachOtherAlone(t *testing.T) {
	for _, first := range []string{"flock", "ofd", "posix"} {
		for _, second := range []string{"flock", "ofd", "posix"} {
			if !hasMechanism(first) || !hasMechanism(second) {
				continue
			}
			path := filepath.Join(t.TempDir(), "x")
			a := portalocker.New(path, portalocker.WithMechanism(mechanismNamed(first)))
			b := portalocker.New(path, portalocker.WithMechanism(mechanismNamed(second)), portalocker.WithTimeout(0))
			_, err := a.Acquire(t.Context())
			must(t, err)
			_, _ = b.Acquire(t.Context()) // some exclude each other, some do not
			must(t, b.Release())
			if _, answer := taker(t, "lock", path, "mechanism="+first); answer != "locked" {
				t.Errorf("the %s lock, after one by %s: in another process %s", first, second, answer)
			}
			must(t, a.Release())
		}
	}
}

// TestMechanismCrowd is the crowd of many instances, by each mechanism: POSIX
// locks exclude nobody within a process but for this package's bookkeeping.
func TestMechanismCrowd(t *testing.T) {
	for _, m := range []string{"ofd", "posix"} {
		t.Run(m, func(t *testing.T) {
			if !hasMechanism(m) {
				t.Skip("not on this platform")
			}
			dir := t.TempDir()
			crowd(t, func(n int) (func() error, acquireFunc) {
				kind := []string{"lock", "rlock"}[n%2]
				l, acquire := newLock(kind, filepath.Join(dir, "x"), append(waits, portalocker.WithMechanism(mechanismNamed(m)))...)
				return l.Release, acquire
			})
			nothingOpen(t, dir)
		})
	}
}

// TestPOSIXDescriptorReused: whoever closed a lock's file by hand and releases the lock
// later does not release that of somebody whose file has got the same descriptor.
func TestPOSIXDescriptorReused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.lock")
	with := func() *portalocker.Lock {
		return portalocker.New(path, portalocker.WithMechanism(portalocker.POSIX), portalocker.WithTimeout(0))
	}
	closed, next, late := with(), with(), with()
	file, err := closed.Acquire(t.Context())
	must(t, err)
	fd := file.Fd()
	must(t, file.Close())
	file, err = next.Acquire(t.Context())
	must(t, err)
	if file.Fd() != fd {
		t.Skipf("descriptor %d was not used again, but %d", fd, file.Fd())
	}
	if err := closed.Release(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the release of the closed one: %v", err)
	}
	_, err = late.Acquire(t.Context())
	mustBeLocked(t, err)
	must(t, next.Release())
	_, err = late.Acquire(t.Context())
	must(t, err)
	must(t, late.Release())
}
