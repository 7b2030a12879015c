package portalocker_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
)

// names are what a directory holds.
func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var found []string
	for _, entry := range entries {
		found = append(found, entry.Name())
	}
	return strings.Join(found, " ")
}

// TestPIDFile: what is there while the lock is held, and that nothing is after.
func TestPIDFile(t *testing.T) {
	dir := testproc.Folder(t)
	path := filepath.Join(dir, "x.pid")
	l := portalocker.NewPIDFileLock(path)
	for range 3 {
		must(t, l.Acquire(t.Context()))
		mustHold(t, path, strconv.Itoa(os.Getpid())) // no newline
		if found := names(t, dir); found != "x.pid x.pid.lock" {
			t.Errorf("there are %s", found)
		}
		if pid, err := l.ReadPID(); pid != os.Getpid() || err != nil {
			t.Errorf("ReadPID: %d, %v", pid, err)
		}
		if info, err := os.Stat(path + ".lock"); err != nil || info.Size() != 0 {
			t.Errorf("the sidecar has %d bytes, %v", info.Size(), err)
		}
		must(t, l.Release())
		unchanged(t, dir, nil)
		nothingOpen(t, dir)
	}
}

// TestPIDFileOfAnotherProcess says whose it is.
func TestPIDFileOfAnotherProcess(t *testing.T) {
	path := filepath.Join(testproc.Folder(t), "x.pid")
	other := holder(t, "pid", path)
	pid := other.Cmd.Process.Pid
	l := portalocker.NewPIDFileLock(path)
	if read, err := l.ReadPID(); read != pid || err != nil {
		t.Errorf("ReadPID: %d, %v, and it is %d", read, err, pid)
	}
	err := l.Acquire(t.Context())
	mustBeLocked(t, err)
	if e, _ := errors.AsType[*portalocker.LockError](err); e.HolderPID != pid {
		t.Errorf("%v, and it is %d", err, pid)
	}
	mustHold(t, path, strconv.Itoa(pid))
	other.Say("release")
	other.Expect("ok")
	must(t, l.Acquire(t.Context()))
	must(t, l.Release())
}

// TestStalePIDFile: a PID file, and a sidecar, without a lock hold nothing. A crash
// leaves them so.
func TestStalePIDFile(t *testing.T) {
	for _, content := range []string{"1", strconv.Itoa(os.Getppid()), "", "rubbish", "99999999"} {
		dir := testproc.Folder(t)
		path := filepath.Join(dir, "x.pid")
		must(t, os.WriteFile(path, []byte(content), 0o600))
		must(t, os.WriteFile(path+".lock", []byte("old"), 0o600))
		l := portalocker.NewPIDFileLock(path)
		must(t, l.Acquire(t.Context()))
		mustHold(t, path, strconv.Itoa(os.Getpid()))
		must(t, l.Release())
		unchanged(t, dir, nil)
	}
	path := filepath.Join(testproc.Folder(t), "x.pid")
	holder(t, "pid", path).Kill()
	l := portalocker.NewPIDFileLock(path)
	must(t, l.Acquire(t.Context()))
	mustHold(t, path, strconv.Itoa(os.Getpid()))
	must(t, l.Release())
}

// TestBadPIDFileHidesNothing: whatever the PID file of a holder holds, who comes
// then is told that the lock is held, and by whom only if that is known. The system
// does not tell who has an OFD lock, so all that is known is the PID file.
func TestBadPIDFileHidesNothing(t *testing.T) {
	mechanism := portalocker.DefaultMechanism
	if runtime.GOOS == "linux" {
		mechanism = portalocker.OFD
	}
	for name, change := range map[string]func(t *testing.T, path string) error{
		"untouched": func(*testing.T, string) error { return nil },
		"missing":   func(_ *testing.T, path string) error { return os.Remove(path) },
		"empty":     func(_ *testing.T, path string) error { return os.Truncate(path, 0) },
		"rubbish":   func(_ *testing.T, path string) error { return os.WriteFile(path, []byte("rubbish\n"), 0o600) },
		"negative":  func(_ *testing.T, path string) error { return os.WriteFile(path, []byte("-1"), 0o600) },
		"two lines": func(_ *testing.T, path string) error { return os.WriteFile(path, []byte("1\n2\n"), 0o600) },
		"too large": func(_ *testing.T, path string) error {
			return os.WriteFile(path, []byte("99999999999999999999"), 0o600)
		},
		"huge":      func(_ *testing.T, path string) error { return os.Truncate(path, 1<<40) }, // a hole
		"directory": func(_ *testing.T, path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
		"dangling": func(t *testing.T, path string) error {
			must(t, os.Remove(path))
			testproc.Symlink(t, "nothing", path)
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(testproc.Folder(t), "x.pid")
			holding := portalocker.NewPIDFileLock(path, portalocker.WithMechanism(mechanism))
			must(t, holding.Acquire(t.Context()))
			defer holding.Release() //nolint:errcheck // see below
			must(t, change(t, path))
			l := portalocker.NewPIDFileLock(path, portalocker.WithMechanism(mechanism))
			err := inTime(t, func() error { return l.Acquire(t.Context()) })
			mustBeLocked(t, err)
			want := 0
			if name == "untouched" {
				want = os.Getpid()
			}
			if e, _ := errors.AsType[*portalocker.LockError](err); e.HolderPID != want {
				t.Errorf("%v, instead of pid %d", err, want)
			}
			mustSay(t, err, "already locked")
			_ = holding.Release() // which may not be able to remove what is there now
			isFree(t, "lock", path+".lock")
		})
	}
}

// TestReadPID reads what one PID with white space can be, and no more.
func TestReadPID(t *testing.T) {
	path := filepath.Join(testproc.Folder(t), "x.pid")
	l := portalocker.NewPIDFileLock(path)
	if _, err := l.ReadPID(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a PID file: %v", err)
	}
	for content, want := range map[string]int{
		"1": 1, "4242": 4242, "4242\n": 4242, " 4242 \r\n": 4242, "007": 7, "2147483647": 2147483647,
		"": 0, " ": 0, "0": 0, "-1": 0, "+1": 0, "1 2": 0, "1\n2": 0, "0x10": 0, "1_0": 0, "1e3": 0, "١": 0, "1\x00": 0,
		"2147483648": 0, "18446744073709551617": 0, "pid 1": 0, "a\nb\x1b[31m": 0,
		strings.Repeat("0", 64): 0, strings.Repeat("1", 1000): 0, strings.Repeat(" ", 100) + "1": 0,
	} {
		must(t, os.WriteFile(path, []byte(content), 0o600))
		pid, err := l.ReadPID()
		if want != 0 {
			if pid != want || err != nil {
				t.Errorf("%q: %d, %v", content, pid, err)
			}
			continue
		}
		mustSay(t, err, "read pid "+path+": the file ")
		if pid != 0 || !errors.Is(err, portalocker.ErrLock) {
			t.Errorf("%q: %d, %v", content, pid, err)
		}
	}
	must(t, os.Truncate(path, 1<<40)) // a hole, which would not fit into memory
	_, err := l.ReadPID()
	mustSay(t, err, "longer than a PID")
	nothingOpen(t, filepath.Dir(path))
}

// TestPIDFileCannotBeWritten: something else is in the place of the PID file. The
// lock is given back, and what is there stays as it is.
func TestPIDFileCannotBeWritten(t *testing.T) {
	dir := testproc.Folder(t)
	path := filepath.Join(dir, "x.pid")
	must(t, os.MkdirAll(filepath.Join(path, "full"), 0o700))
	before := snapshot(t, dir)
	l := portalocker.NewPIDFileLock(path)
	for range 2 {
		err := l.Acquire(t.Context())
		mustSay(t, err, "x.pid")
		if errors.Is(err, portalocker.ErrAlreadyLocked) {
			t.Errorf("%v would be waited for", err)
		}
		isFree(t, "lock", path+".lock")
		must(t, os.Remove(path+".lock")) // isFree's
		unchanged(t, dir, before)
		must(t, l.Release())
	}
	must(t, os.Remove(filepath.Join(path, "full")))
	must(t, os.Remove(path))
	must(t, l.Acquire(t.Context()))
	must(t, l.Release())
	nothingOpen(t, dir)
}

// TestBadSidecar: the lock itself cannot be a directory or a link either.
func TestBadSidecar(t *testing.T) {
	for name, test := range map[string]struct {
		make func(t *testing.T, sidecar string)
		says string
	}{
		"directory": {func(t *testing.T, s string) { must(t, os.Mkdir(s, 0o700)) }, "a directory"},
		"link":      {func(t *testing.T, s string) { testproc.Symlink(t, "x.pid", s) }, "symbolic link"},
		"dangling":  {func(t *testing.T, s string) { testproc.Symlink(t, "nothing", s) }, "symbolic link"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := testproc.Folder(t)
			path := filepath.Join(dir, "x.pid")
			must(t, os.WriteFile(path, []byte("precious"), 0o600))
			test.make(t, path+".lock")
			before := snapshot(t, dir)
			mustSay(t, portalocker.NewPIDFileLock(path).Acquire(t.Context()), test.says)
			unchanged(t, dir, before)
			nothingOpen(t, dir)
		})
	}
}

// TestPIDFileIsNotShared, whenever that is asked for.
func TestPIDFileIsNotShared(t *testing.T) {
	dir := testproc.Folder(t)
	path := filepath.Join(dir, "x.pid")
	for _, flags := range []portalocker.LockFlags{portalocker.Shared, portalocker.Shared | portalocker.NonBlocking} {
		shared := portalocker.WithFlags(flags)
		for _, err := range []error{
			portalocker.NewPIDFileLock(path, shared).Acquire(t.Context()),
			portalocker.NewPIDFileLock(path).Acquire(t.Context(), shared),
		} {
			mustSay(t, err, "shared")
			if !errors.Is(err, portalocker.ErrLock) {
				t.Errorf("%v is no ErrLock", err)
			}
		}
	}
	unchanged(t, dir, nil)
}

// TestPIDFileMode: a mode is no reason to write anything else, nor to empty a file
// that somebody else has put in the sidecar's place.
func TestPIDFileMode(t *testing.T) {
	for _, mode := range []portalocker.Mode{"w", "x", "r", "w+"} {
		dir := testproc.Folder(t)
		path := filepath.Join(dir, "x.pid")
		must(t, os.WriteFile(path+".lock", []byte("old"), 0o600))
		l := portalocker.NewPIDFileLock(path, portalocker.WithMode(mode))
		must(t, l.Acquire(t.Context(), portalocker.WithMode(mode)))
		mustHold(t, path, strconv.Itoa(os.Getpid()))
		mustHold(t, path+".lock", "old")
		must(t, l.Release())
		unchanged(t, dir, nil)
	}
}

// TestPIDFileRemovedByHand: what the release does not find, it need not remove.
func TestPIDFileRemovedByHand(t *testing.T) {
	dir := testproc.Folder(t)
	path := filepath.Join(dir, "x.pid")
	l := portalocker.NewPIDFileLock(path)
	must(t, l.Acquire(t.Context()))
	must(t, os.Remove(path))
	must(t, l.Release())
	unchanged(t, dir, nil)
	nothingOpen(t, dir)
}

// TestPIDFileOfTheNextHolder: somebody has removed the sidecar by hand, and with it
// the lock. Who releases then leaves the next holder's files alone.
func TestPIDFileOfTheNextHolder(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("an open file cannot be removed there")
	}
	path := filepath.Join(testproc.Folder(t), "x.pid")
	l := portalocker.NewPIDFileLock(path)
	must(t, l.Acquire(t.Context()))
	must(t, os.Remove(path+".lock"))
	other := holder(t, "pid", path)
	must(t, l.Release())
	mustHold(t, path, fmt.Sprint(other.Cmd.Process.Pid))
	mustBeLocked(t, l.Acquire(t.Context()))
	other.Say("release")
	other.Expect("ok")
	must(t, l.Acquire(t.Context()))
	must(t, l.Release())
}

// TestPIDFileDo runs while the PID file says so.
func TestPIDFileDo(t *testing.T) {
	path := filepath.Join(testproc.Folder(t), "x.pid")
	l := portalocker.NewPIDFileLock(path)
	must(t, l.Do(t.Context(), func(context.Context) error {
		mustHold(t, path, strconv.Itoa(os.Getpid()))
		return nil
	}))
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the PID file after it: %v", err)
	}
}
