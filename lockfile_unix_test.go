//go:build unix

package portalocker_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
)

// TestUnlockWhileChildHasACopy: a child has inherited the descriptor, and with it
// the lock, which an unlock ends all the same. Closing alone would not.
func TestUnlockWhileChildHasACopy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	f := openFile(t, path)
	must(t, portalocker.LockFile(f, portalocker.Exclusive))
	child := testproc.Command(t, "hold", "lock", path)
	child.ExtraFiles = []*os.File{f}
	p := testproc.StartCmd(t, child)
	if now := held(t, path); now != "exclusive" {
		t.Fatalf("the file is %s", now)
	}
	must(t, portalocker.UnlockFile(f))
	if now := held(t, path); now != "free" {
		t.Errorf("after the unlock the file is %s", now)
	}
	p.Say("try") // it is there, and answers
	p.Expect("ok")
}

// TestReleaseWhileChildHasACopy is the same for the locks whose file stays.
func TestReleaseWhileChildHasACopy(t *testing.T) {
	for kind, acquire := range map[string]func(string) (*os.File, func() error, error){
		"lock": func(path string) (*os.File, func() error, error) {
			l := portalocker.New(path)
			f, err := l.Acquire(t.Context())
			return f, l.Release, err
		},
		"rlock": func(path string) (*os.File, func() error, error) {
			l := portalocker.NewRLock(path)
			f, err := l.Acquire(t.Context())
			return f, l.Release, err
		},
	} {
		t.Run(kind, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x")
			f, release, err := acquire(path)
			must(t, err)
			child := testproc.Command(t, "hold", "lock", path)
			child.ExtraFiles = []*os.File{f}
			testproc.StartCmd(t, child)
			must(t, release())
			isFree(t, kind, path)
		})
	}
}

// TestLockFileConverts: a lock is changed in place, as far as others let it.
func TestLockFileConverts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	a, b := openFile(t, path), openFile(t, path)
	must(t, portalocker.LockFile(a, portalocker.Exclusive))
	must(t, portalocker.LockFile(a, portalocker.Shared))
	must(t, portalocker.LockFile(b, tryShared))
	mustBeLocked(t, portalocker.LockFile(a, tryExclusive))
	must(t, portalocker.UnlockFile(b))
	must(t, portalocker.LockFile(a, tryExclusive))
	mustBeLocked(t, portalocker.LockFile(b, tryShared))
}

// TestLockFileOnDirectory locks what can be opened, with no more than that.
func TestLockFileOnDirectory(t *testing.T) {
	dir := t.TempDir()
	a, err := os.Open(dir)
	must(t, err)
	defer a.Close() //nolint:errcheck // nothing was written
	b, err := os.Open(dir)
	must(t, err)
	defer b.Close() //nolint:errcheck // nothing was written
	must(t, portalocker.LockFile(a, portalocker.Shared))
	must(t, portalocker.LockFile(b, tryShared))
	if portalocker.LockFile(a, tryExclusive) == nil {
		t.Error("exclusive beside a shared lock")
	}
}
