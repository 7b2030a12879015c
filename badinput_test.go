package portalocker_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
)

// badInput is something that cannot be locked, at least not by every kind.
type badInput struct {
	name string
	path func(t *testing.T, dir string) string // prepares the directory

	// refused says what the error must speak of; the kinds that are not in it lock.
	refused map[string]string
}

// all makes every kind refuse for one reason.
func all(reason string) map[string]string {
	refused := map[string]string{}
	for _, kind := range kinds {
		refused[kind] = reason
	}
	return refused
}

// private makes those kinds refuse that want a file of their own.
func private(reason string) map[string]string {
	return map[string]string{"temporary": reason, "pid": reason}
}

// refuses tries every kind of lock, and for those that open what they are told to,
// every mode. Whatever is refused stays as it was, with nothing added to it.
func (b badInput) refuses(t *testing.T) {
	for _, kind := range kinds {
		modes := []portalocker.Mode{"a"}
		if b.refused[kind] != "" && kind != "pid" {
			modes = []portalocker.Mode{"a", "a+", "w", "r", "r+"}
		}
		for _, mode := range modes {
			t.Run(fmt.Sprintf("%s/%s %s", b.name, kind, mode), func(t *testing.T) {
				dir := testproc.Folder(t)
				path := b.path(t, dir)
				l, acquire := newLock(kind, path, portalocker.WithMode(mode), portalocker.WithTimeout(0))
				try := func() error { return inTime(t, func() error { return acquire(t.Context()) }) }
				before := snapshot(t, dir)
				for range 2 { // the second knows what the first has found
					err := try()
					if b.refused[kind] == "" {
						must(t, err)
						must(t, l.Release())
						continue
					}
					if err == nil {
						t.Error("it was locked")
						must(t, l.Release())
						continue
					}
					mustSay(t, err, b.refused[kind])
					if errors.Is(err, portalocker.ErrAlreadyLocked) {
						t.Errorf("%v would be waited for", err)
					}
					unchanged(t, dir, before)
				}
				nothingOpen(t, dir)
			})
		}
	}
}

func TestBadInput(t *testing.T) {
	notAFolder := private("a directory")
	if runtime.GOOS == "windows" {
		notAFolder = all("a directory")
	}
	for _, b := range []badInput{
		{"missing folder", func(_ *testing.T, dir string) string {
			return filepath.Join(dir, "missing", "x.lock")
		}, all(filepath.Join("missing", "x.lock"))},
		{"NUL byte", func(_ *testing.T, dir string) string {
			return filepath.Join(dir, "x\x00y.lock")
		}, all("invalid argument")},
		{"file as folder", func(t *testing.T, dir string) string {
			must(t, os.WriteFile(filepath.Join(dir, "file"), []byte("precious"), 0o600))
			return filepath.Join(dir, "file", "x.lock")
		}, all(filepath.Join("file", "x.lock"))},
		{"folder", func(t *testing.T, dir string) string {
			path := filepath.Join(dir, "folder")
			must(t, os.Mkdir(path, 0o700))
			must(t, os.WriteFile(filepath.Join(path, "file"), []byte("precious"), 0o600))
			return path
		}, notAFolder},
	} {
		b.refuses(t)
	}
}

// TestMissingFolderAppears: an error is no verdict on the next try.
func TestMissingFolderAppears(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			dir := filepath.Join(testproc.Folder(t), "later")
			l, acquire := newLock(kind, filepath.Join(dir, "x.lock"), portalocker.WithTimeout(0))
			if err := acquire(t.Context()); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("without the folder: %v", err)
			}
			must(t, os.Mkdir(dir, 0o700))
			must(t, acquire(t.Context()))
			must(t, l.Release())
			if err := os.Remove(filepath.Join(dir, "x.lock")); !errors.Is(err, fs.ErrNotExist) { // of the kinds whose file stays
				must(t, err)
			}
			must(t, os.Remove(dir))
			if err := acquire(t.Context()); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("without the folder again: %v", err)
			}
		})
	}
}

// TestOpenErrorsPassUnchanged: they are what a caller of os.OpenFile would get,
// and no locking errors.
func TestOpenErrorsPassUnchanged(t *testing.T) {
	for _, kind := range kinds {
		path := filepath.Join(testproc.Folder(t), "missing", "x.lock")
		_, acquire := newLock(kind, path)
		err := acquire(t.Context())
		pathErr, ok := errors.AsType[*fs.PathError](err)
		if !ok || pathErr.Op != "open" || !strings.HasPrefix(pathErr.Path, path) {
			t.Errorf("%s: %#v is not the error of opening %s", kind, err, path)
		}
		if errors.Is(err, portalocker.ErrLock) {
			t.Errorf("%s: %v is an ErrLock", kind, err)
		}
	}
}

// TestEmptyPath: it is an error, and where the type has a name of its own, that.
func TestEmptyPath(t *testing.T) {
	for kind, file := range map[string]string{"lock": "", "rlock": "", "temporary": ".lock", "pid": ".pid"} {
		t.Run(kind, func(t *testing.T) {
			dir := testproc.Folder(t)
			t.Chdir(dir)
			l, acquire := newLock(kind, "")
			err := acquire(t.Context())
			if file == "" {
				mustSay(t, err, "the path is empty")
				if !errors.Is(err, portalocker.ErrLock) {
					t.Errorf("%v is no ErrLock", err)
				}
			} else {
				must(t, err)
				if _, err := os.Lstat(filepath.Join(dir, file)); err != nil {
					t.Error(err)
				}
				must(t, l.Release())
			}
			unchanged(t, dir, nil)
			nothingOpen(t, dir)
		})
	}
}

// TestOddNames: a name that the system takes is a name.
func TestOddNames(t *testing.T) {
	for _, name := range []string{"with space", "-n", "%s%d", "ümläut", "..lock", "a'b"} {
		for _, kind := range kinds {
			t.Run(kind+" "+name, func(t *testing.T) {
				dir := testproc.Folder(t)
				path := filepath.Join(dir, name)
				l, acquire := newLock(kind, path)
				must(t, acquire(t.Context()))
				_, again := newLock(kind, path, portalocker.WithTimeout(0))
				err := again(t.Context())
				mustBeLocked(t, err)
				mustSay(t, err, path)
				must(t, l.Release())
				nothingOpen(t, dir)
			})
		}
	}
}

// must fails unless the error is nil.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mustBeLocked fails unless the error says that somebody else has the lock, in
// all the ways in which a caller may ask.
func mustBeLocked(t testing.TB, err error) {
	t.Helper()
	if _, ok := errors.AsType[*portalocker.LockError](err); !ok || !errors.Is(err, portalocker.ErrAlreadyLocked) || !errors.Is(err, portalocker.ErrLock) {
		t.Fatalf("got %v, not a LockError that is ErrAlreadyLocked", err)
	}
}

// mustSay fails unless the error's message has the text, in one line.
func mustSay(t testing.TB, err error, text string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, instead of one with %q", text)
		return
	}
	if !strings.Contains(err.Error(), text) {
		t.Errorf("%q does not say %q", err, text)
	}
	if strings.ContainsAny(err.Error(), "\n\r\x1b") {
		t.Errorf("%q is not one line of plain text", err)
	}
}

// inTime fails if something that must not wait for others does.
func inTime(t testing.TB, do func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-time.After(time.Minute): // only a hang meets it
		t.Fatal("it hangs")
	}
	return nil
}

// snapshot is what a directory holds: of each entry its mode, and what is in it.
func snapshot(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		content := ""
		switch {
		case info.Mode().IsRegular():
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			content = string(text)
		case info.Mode()&fs.ModeSymlink != 0:
			if content, err = os.Readlink(path); err != nil {
				return err
			}
		}
		found[path] = fmt.Sprintf("%v %q", info.Mode(), content)
		return nil
	}))
	return found
}

// unchanged fails if the directory holds anything else than it did.
func unchanged(t testing.TB, dir string, before map[string]string) {
	t.Helper()
	if now := snapshot(t, dir); !maps.Equal(now, before) {
		t.Errorf("before: %v, now: %v", before, now)
	}
}

// nothingOpen fails if this process has anything in the directory open, where
// the system tells (Linux and some others).
func nothingOpen(t testing.TB, dir string) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return
	}
	for _, fd := range fds {
		to, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if err == nil && strings.HasPrefix(to, dir) {
			t.Errorf("descriptor %s is still open: %s", fd.Name(), to)
		}
	}
}
