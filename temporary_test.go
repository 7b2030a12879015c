package portalocker_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
)

// TestTemporaryFile is there while the lock is held, and not after.
func TestTemporaryFile(t *testing.T) {
	for _, mode := range []portalocker.Mode{"a", "w", "x", "a+", "w+", "x+"} {
		dir := testproc.Folder(t)
		path := filepath.Join(dir, "x")
		l := portalocker.NewTemporaryFileLock(path, portalocker.WithMode(mode))
		for range 3 {
			f, err := l.Acquire(t.Context())
			must(t, err)
			_, err = f.WriteString("text")
			must(t, err)
			mustHold(t, path, "text")
			must(t, l.Release())
			unchanged(t, dir, nil)
			nothingOpen(t, dir)
		}
	}
}

// TestTemporaryFileThatWasThere is locked, and goes the same way. A crash leaves
// one.
func TestTemporaryFileThatWasThere(t *testing.T) {
	dir := testproc.Folder(t)
	path := filepath.Join(dir, "x")
	must(t, os.WriteFile(path, []byte("old"), 0o600))
	l := portalocker.NewTemporaryFileLock(path)
	_, err := l.Acquire(t.Context())
	must(t, err)
	mustHold(t, path, "old")
	must(t, l.Release())
	unchanged(t, dir, nil)

	holder(t, "temporary", path).Kill()
	if found := names(t, dir); found != "x" {
		t.Errorf("after a crash there are %q", found)
	}
	_, err = l.Acquire(t.Context())
	must(t, err)
	must(t, l.Release())
	unchanged(t, dir, nil)
}

// TestTemporaryFileShared stays until the last of those that share it releases,
// in this process and in others.
func TestTemporaryFileShared(t *testing.T) {
	dir := testproc.Folder(t)
	path := filepath.Join(dir, "x")
	shared := portalocker.WithFlags(portalocker.Shared)
	a, b := portalocker.NewTemporaryFileLock(path, shared), portalocker.NewTemporaryFileLock(path, shared)
	for _, l := range []*portalocker.TemporaryFileLock{a, b} {
		_, err := l.Acquire(t.Context())
		must(t, err)
	}
	other := holder(t, "temporary", path, "shared")
	_, err := portalocker.NewTemporaryFileLock(path).Acquire(t.Context())
	mustBeLocked(t, err)
	for _, release := range []func(){
		func() { must(t, a.Release()) },
		func() { other.Say("release"); other.Expect("ok") },
	} {
		release()
		if found := names(t, dir); found != "x" {
			t.Fatalf("while others share the lock there are %q", found)
		}
		_, err := portalocker.NewTemporaryFileLock(path).Acquire(t.Context())
		mustBeLocked(t, err)
	}
	must(t, b.Release())
	unchanged(t, dir, nil)
}

// TestTemporaryFileRemovedByHand: the release has nothing to remove, and makes
// nothing.
func TestTemporaryFileRemovedByHand(t *testing.T) {
	skipOnWindows(t)
	dir := testproc.Folder(t)
	path := filepath.Join(dir, "x")
	l := portalocker.NewTemporaryFileLock(path)
	_, err := l.Acquire(t.Context())
	must(t, err)
	must(t, os.Remove(path))
	must(t, l.Release())
	unchanged(t, dir, nil)
	nothingOpen(t, dir)
	_, err = l.Acquire(t.Context())
	must(t, err)
	must(t, l.Release())
}

// TestTemporaryFileReplaced: what lies at the path at the release is not the file
// that was locked, and so somebody else's.
func TestTemporaryFileReplaced(t *testing.T) {
	skipOnWindows(t)
	for name, replace := range map[string]func(path string) error{
		"file":      func(path string) error { return os.WriteFile(path, []byte("theirs"), 0o600) },
		"link":      func(path string) error { return os.Symlink("nothing", path) },
		"hard link": func(path string) error { return os.Link(path+".other", path) },
		"directory": func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := testproc.Folder(t)
			path := filepath.Join(dir, "x")
			must(t, os.WriteFile(path+".other", []byte("theirs"), 0o600))
			l := portalocker.NewTemporaryFileLock(path)
			_, err := l.Acquire(t.Context())
			must(t, err)
			must(t, os.Remove(path))
			must(t, replace(path))
			before := snapshot(t, dir)
			must(t, l.Release())
			unchanged(t, dir, before)
			nothingOpen(t, dir)
		})
	}
}

// TestTemporaryFileOfTheNextHolder is not removed by the one before, whose file
// somebody removed by hand.
func TestTemporaryFileOfTheNextHolder(t *testing.T) {
	skipOnWindows(t)
	dir := testproc.Folder(t)
	path := filepath.Join(dir, "x")
	l := portalocker.NewTemporaryFileLock(path)
	_, err := l.Acquire(t.Context())
	must(t, err)
	must(t, os.Remove(path))
	other := holder(t, "temporary", path)
	must(t, l.Release())
	_, err = l.Acquire(t.Context())
	mustBeLocked(t, err)
	other.Say("release")
	other.Expect("ok")
	unchanged(t, dir, nil)
}

// TestTemporaryFileUnlockedByHand: between the unlock and the release somebody else
// has taken the lock, whose file stays.
func TestTemporaryFileUnlockedByHand(t *testing.T) {
	dir := testproc.Folder(t)
	path := filepath.Join(dir, "x")
	l := portalocker.NewTemporaryFileLock(path)
	f, err := l.Acquire(t.Context())
	must(t, err)
	must(t, portalocker.UnlockFile(f))
	other := holder(t, "temporary", path)
	must(t, l.Release())
	if _, err := os.Lstat(path); err != nil {
		t.Error(err)
	}
	_, err = l.Acquire(t.Context())
	mustBeLocked(t, err)
	other.Say("release")
	other.Expect("ok")
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the release of the other: %v", err)
	}
}

// TestTemporaryFileMeetsLock: it is a lock as any other, for those who come and go
// by the same path.
func TestTemporaryFileMeetsLock(t *testing.T) {
	path := filepath.Join(testproc.Folder(t), "x")
	lock := portalocker.New(path, portalocker.WithTimeout(0))
	temporary := portalocker.NewTemporaryFileLock(path)
	_, err := lock.Acquire(t.Context())
	must(t, err)
	_, err = temporary.Acquire(t.Context())
	mustBeLocked(t, err)
	must(t, lock.Release())
	_, err = temporary.Acquire(t.Context())
	must(t, err)
	_, err = lock.Acquire(t.Context())
	mustBeLocked(t, err)
	if !strings.HasPrefix(err.Error(), "acquire "+path) {
		t.Error(err)
	}
	must(t, temporary.Release())
}

// skipOnWindows skips what needs a file to be removed while it is open.
func skipOnWindows(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("an open file cannot be removed there")
	}
}
