package portalocker_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
)

// openFile opens a file once more, until the end of the test.
func openFile(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	must(t, err)
	t.Cleanup(func() { _ = f.Close() }) // some tests close it themselves
	return f
}

const (
	tryExclusive = portalocker.Exclusive | portalocker.NonBlocking
	tryShared    = portalocker.Shared | portalocker.NonBlocking
)

// held says how a file is locked, by trying through a descriptor of its own.
func held(t *testing.T, path string) string {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer f.Close() //nolint:errcheck // nothing was written
	if portalocker.LockFile(f, tryExclusive) == nil {
		must(t, portalocker.UnlockFile(f))
		return "free"
	}
	err = portalocker.LockFile(f, tryShared)
	if err == nil {
		must(t, portalocker.UnlockFile(f))
		return "shared"
	}
	mustBeLocked(t, err)
	return "exclusive"
}

// TestLockFlagsValues are those of flock(2), and of Python portalocker.
func TestLockFlagsValues(t *testing.T) {
	if portalocker.Shared != 1 || portalocker.Exclusive != 2 || portalocker.NonBlocking != 4 || portalocker.Unblock != 8 {
		t.Error("the flags have other values than LOCK_SH, LOCK_EX, LOCK_NB and LOCK_UN")
	}
}

// TestLockFileFlags tries every value there is. One that means nothing is an error,
// and changes nothing.
func TestLockFileFlags(t *testing.T) {
	path := filepath.Join(testproc.Folder(t), "x")
	f := openFile(t, path)
	means := map[portalocker.LockFlags]string{
		1: "shared", 2: "exclusive", 1 | 4: "shared", 2 | 4: "exclusive", 8: "free",
	}
	for flags := portalocker.LockFlags(0); ; flags++ {
		for _, before := range []string{"free", "exclusive"} {
			if before == "exclusive" {
				must(t, portalocker.LockFile(f, tryExclusive))
			}
			if runtime.GOOS == "windows" && before == "exclusive" && flags != portalocker.Unblock {
				must(t, portalocker.UnlockFile(f)) // a lock cannot be converted there
				before = "free"
			}
			want := means[flags]
			err := inTime(t, func() error { return portalocker.LockFile(f, flags) })
			if want != "" {
				must(t, err)
			} else {
				want = before
				mustSay(t, err, fmt.Sprintf("lock %s: flags %#x", path, uint8(flags)))
				if !errors.Is(err, portalocker.ErrLock) || errors.Is(err, portalocker.ErrAlreadyLocked) {
					t.Errorf("flags %d: %v", flags, err)
				}
			}
			if now := held(t, path); now != want {
				t.Fatalf("flags %d on a file that was %s: now %s", flags, before, now)
			}
			must(t, portalocker.UnlockFile(f))
		}
		if flags == 255 {
			return
		}
	}
}

// TestLockFileArguments: what is no open file is an error, and no panic.
func TestLockFileArguments(t *testing.T) {
	closed := openFile(t, filepath.Join(testproc.Folder(t), "x"))
	must(t, closed.Close())
	for _, test := range []struct {
		name string
		file portalocker.FileArgument
		says string
		is   error
	}{
		{"nil", nil, "nil", nil},
		{"nil file", (*os.File)(nil), "nil", nil},
		{"closed file", closed, closed.Name(), os.ErrClosed},
		{"minus one", portalocker.FD(^uintptr(0)), "", nil},
		{"never opened", portalocker.FD(1 << 20), "descriptor 1048576", nil},
	} {
		for call, do := range map[string]func() error{
			"lock":    func() error { return portalocker.LockFile(test.file, portalocker.Exclusive) },
			"try":     func() error { return portalocker.LockFile(test.file, tryShared) },
			"unblock": func() error { return portalocker.LockFile(test.file, portalocker.Unblock) },
			"unlock":  func() error { return portalocker.UnlockFile(test.file) },
			"flags":   func() error { return portalocker.LockFile(test.file, 0) },
		} {
			t.Run(test.name+"/"+call, func(t *testing.T) {
				defer func() {
					if r := recover(); r != nil {
						t.Errorf("it panics: %v", r)
					}
				}()
				err := do()
				mustSay(t, err, test.says)
				if _, ok := errors.AsType[*portalocker.LockError](err); !ok || errors.Is(err, portalocker.ErrAlreadyLocked) {
					t.Errorf("%v is no LockError, or the wrong one", err)
				}
				if call != "flags" && test.is != nil && !errors.Is(err, test.is) {
					t.Errorf("%v is not %v", err, test.is)
				}
			})
		}
	}
}

// polite is a file that does not like its Fd to be called, as it changes how some
// files work.
type polite struct{ *os.File }

func (polite) Fd() uintptr { panic("Fd was called") }

// nameless is one that has no name either.
type nameless struct{ f *os.File }

func (nameless) Fd() uintptr                             { panic("Fd was called") }
func (n nameless) SyscallConn() (syscall.RawConn, error) { return n.f.SyscallConn() }

// TestLockFilePrefersSyscallConn, also for the message of an error.
func TestLockFilePrefersSyscallConn(t *testing.T) {
	path := filepath.Join(testproc.Folder(t), "x")
	f, other := openFile(t, path), openFile(t, path)
	for name, file := range map[string]portalocker.FileArgument{"named": polite{f}, "nameless": nameless{f}} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if r := recover(); r != nil {
					t.Error(r)
				}
			}()
			must(t, portalocker.LockFile(file, portalocker.Exclusive))
			if now := held(t, path); now != "exclusive" {
				t.Errorf("the file is %s", now)
			}
			must(t, portalocker.UnlockFile(file))
			must(t, portalocker.LockFile(other, tryExclusive))
			defer portalocker.UnlockFile(other) //nolint:errcheck // the file is closed too
			mustBeLocked(t, portalocker.LockFile(file, tryExclusive))
		})
	}
}

// TestLockFileFD takes bare descriptors.
func TestLockFileFD(t *testing.T) {
	path := filepath.Join(testproc.Folder(t), "x")
	a, b := openFile(t, path), openFile(t, path)
	fd := portalocker.FD(b.Fd())
	must(t, portalocker.LockFile(portalocker.FD(a.Fd()), portalocker.Exclusive))
	err := portalocker.LockFile(fd, tryShared)
	mustBeLocked(t, err)
	mustSay(t, err, fmt.Sprintf("lock descriptor %d: already locked", uintptr(fd)))
	must(t, portalocker.UnlockFile(a))
	must(t, portalocker.LockFile(fd, tryShared))
}

// TestUnlockFileOfAnother: unlocking what one has not locked is no error, and
// frees nobody else's lock.
func TestUnlockFileOfAnother(t *testing.T) {
	path := filepath.Join(testproc.Folder(t), "x")
	a, b := openFile(t, path), openFile(t, path)
	must(t, portalocker.UnlockFile(a))
	must(t, portalocker.LockFile(a, portalocker.Exclusive))
	must(t, portalocker.UnlockFile(b))
	must(t, portalocker.LockFile(b, portalocker.Unblock))
	if now := held(t, path); now != "exclusive" {
		t.Errorf("the file is %s", now)
	}
	must(t, portalocker.LockFile(a, portalocker.Unblock))
	if now := held(t, path); now != "free" {
		t.Errorf("the file is %s", now)
	}
}

// TestLockFileMeetsLock: both kinds of locking are one, in both directions, and
// between processes.
func TestLockFileMeetsLock(t *testing.T) {
	path := filepath.Join(testproc.Folder(t), "x")
	f := openFile(t, path)
	l := portalocker.New(path, portalocker.WithTimeout(0))
	must(t, portalocker.LockFile(f, portalocker.Exclusive))
	_, err := l.Acquire(t.Context())
	mustBeLocked(t, err)
	must(t, portalocker.UnlockFile(f))

	_, err = l.Acquire(t.Context())
	must(t, err)
	err = portalocker.LockFile(f, tryExclusive)
	mustBeLocked(t, err)
	mustSay(t, err, "lock "+path+": already locked")
	must(t, l.Release())

	other := holder(t, "lock", path)
	mustBeLocked(t, portalocker.LockFile(f, tryExclusive))
	got := make(chan error, 1)
	go func() { got <- portalocker.LockFile(f, portalocker.Exclusive) }()
	other.Say("release")
	other.Expect("ok")
	must(t, <-got)
	other.Say("try")
	other.Expect("locked")
}

// TestLockFileHandedOut: the file that Acquire gives is one to unlock by hand. The
// release that follows is no error, since flock(2) knows no such.
func TestLockFileHandedOut(t *testing.T) {
	for _, kind := range []string{"lock", "temporary"} {
		path := filepath.Join(testproc.Folder(t), "x")
		var f *os.File
		var err error
		var l anyLock
		if kind == "lock" {
			lock := portalocker.New(path)
			l = lock
			f, err = lock.Acquire(t.Context())
		} else {
			lock := portalocker.NewTemporaryFileLock(path)
			l = lock
			f, err = lock.Acquire(t.Context())
		}
		must(t, err)
		if !strings.HasSuffix(f.Name(), path) {
			t.Errorf("%s: the file is called %s", kind, f.Name())
		}
		must(t, portalocker.UnlockFile(f))
		if now := held(t, path); now != "free" {
			t.Errorf("%s: unlocked by hand, the file is %s", kind, now)
		}
		must(t, l.Release())
		isFree(t, kind, path)
	}
}
