package portalocker_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portalocker/portalocker"
)

// TestMechanismsMeet: OFD locks meet the POSIX locks of another process, and not
// its flock locks.
func TestMechanismsMeet(t *testing.T) {
	fcntl := map[string]bool{"ofd": true, "posix": true}
	for _, mine := range []string{"flock", "ofd", "posix"} {
		for _, theirs := range []string{"flock", "ofd", "posix"} {
			path := filepath.Join(t.TempDir(), "x")
			p, answer := taker(t, "lock", path, "mechanism="+theirs)
			if answer != "ok" {
				t.Fatalf("%s: %s", theirs, answer)
			}
			l := portalocker.New(path, portalocker.WithMechanism(mechanismNamed(mine)), portalocker.WithTimeout(0))
			_, err := l.Acquire(t.Context())
			if fcntl[mine] == fcntl[theirs] {
				mustBeLocked(t, err)
			} else if err != nil {
				t.Errorf("%s beside %s: %v", mine, theirs, err)
			}
			must(t, l.Release())
			p.Kill()
		}
	}
}

// TestReopensForWriting: mode r opens a file for reading, with which fcntl(2)
// makes no exclusive lock. The file that is handed out then is the one that is
// locked, and still holds what it did.
func TestReopensForWriting(t *testing.T) {
	for _, m := range []portalocker.Mechanism{portalocker.OFD, portalocker.POSIX} {
		for _, kind := range []string{"lock", "rlock", "temporary"} {
			dir := t.TempDir()
			path := filepath.Join(dir, "x")
			must(t, os.WriteFile(path, []byte("precious"), 0o600))
			l, acquire := fileLock(kind, path, portalocker.WithMode("r"), portalocker.WithMechanism(m))
			f, err := acquire(t.Context())
			must(t, err)
			content := make([]byte, 8)
			if _, err := f.Read(content); err != nil || string(content) != "precious" {
				t.Errorf("%s: it reads %q, %v", m, content, err)
			}
			if _, answer := taker(t, kind, path, "mechanism=posix"); answer != "locked" {
				t.Errorf("%s: in another process: %s", m, answer)
			}
			must(t, l.Release())
			nothingOpen(t, dir)
		}
	}
}

// TestFailsAfterTheLock: a file that can be locked and not truncated. The lock is
// given back before the error is out.
func TestFailsAfterTheLock(t *testing.T) {
	fd, err := unix.MemfdCreate("sealed", unix.MFD_ALLOW_SEALING|unix.MFD_CLOEXEC)
	must(t, err)
	sealed := os.NewFile(uintptr(fd), "sealed")
	defer sealed.Close() //nolint:errcheck // nothing is written
	_, err = sealed.WriteString("precious")
	must(t, err)
	_, err = unix.FcntlInt(sealed.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK)
	must(t, err)
	path := fmt.Sprintf("/proc/self/fd/%d", sealed.Fd())
	for _, kind := range []string{"lock", "rlock"} {
		_, acquire := newLock(kind, path, portalocker.WithMode("w"), portalocker.WithTimeout(0))
		for range 2 {
			err := acquire(t.Context())
			pathErr, ok := errors.AsType[*fs.PathError](err)
			if !ok || pathErr.Op != "truncate" || !errors.Is(err, syscall.EPERM) {
				t.Errorf("%s: %v is not the error of truncate", kind, err)
			}
			isFree(t, kind, path)
		}
	}
	if info, err := sealed.Stat(); err != nil || info.Size() != 8 {
		t.Errorf("the file has %d bytes, %v", info.Size(), err)
	}
	if n := memfds(t); n != 1 {
		t.Errorf("it is open %d times", n)
	}
}

// memfds counts the descriptors of the file that TestFailsAfterTheLock makes.
func memfds(t *testing.T) (n int) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && to == "/memfd:sealed (deleted)" {
			n++
		}
	}
	return n
}

// TestPOSIXInVain: tries and waits for what this process holds leave no files open,
// which until the release of that could not be closed.
func TestPOSIXInVain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.lock")
	held := portalocker.New(path, portalocker.WithMechanism(portalocker.POSIX))
	_, err := held.Acquire(t.Context())
	must(t, err)
	before := openFiles(t)
	for _, timeout := range []time.Duration{0, time.Millisecond} {
		for range 20 {
			l := portalocker.New(path, portalocker.WithMechanism(portalocker.POSIX), portalocker.WithTimeout(timeout))
			_, err := l.Acquire(t.Context())
			mustBeLocked(t, err)
		}
	}
	if after := openFiles(t); after > before+5 {
		t.Errorf("%d open files before, %d after", before, after)
	}
	must(t, held.Release())
}
