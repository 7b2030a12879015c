//go:build unix

package portalocker_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portalocker/portalocker"
)

// sharedDir is a directory that the other user may enter and, if so wanted, write.
func sharedDir(t *testing.T, perm os.FileMode) string {
	t.Helper()
	parent := t.TempDir()
	must(t, os.Chmod(filepath.Dir(parent), 0o755)) // the test's own, which is private
	dir := filepath.Join(parent, "dir")
	must(t, os.Mkdir(dir, 0o755))
	shareWithNobody(t, dir)
	must(t, os.Chmod(dir, perm))
	t.Cleanup(func() { _ = os.Chmod(dir, 0o755) })
	return dir
}

// newFile makes a file, of these permissions whatever the umask.
func newFile(t *testing.T, path, content string, perm os.FileMode) string {
	t.Helper()
	must(t, os.WriteFile(path, []byte(content), 0o600))
	must(t, os.Chmod(path, perm))
	return path
}

// inReadOnly makes a file in a directory that may not be written.
func inReadOnly(t *testing.T, dir, name, content string, perm os.FileMode) string {
	t.Helper()
	must(t, os.Chmod(dir, 0o755))
	path := newFile(t, filepath.Join(dir, name), content, perm)
	must(t, os.Chmod(dir, 0o555))
	return path
}

// TestReadOnlyFolder: the error names the file and the reason; nothing is made.
func TestReadOnlyFolder(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			dir := sharedDir(t, 0o555)
			path := filepath.Join(dir, "x")
			p, answer := taker(t, kind, path, "nobody")
			if !strings.HasPrefix(answer, "error open "+path) || !strings.Contains(answer, "permission denied") {
				t.Errorf("got %q", answer)
			}
			unchanged(t, dir, nil)
			p.Kill()
		})
	}
}

// TestReadOnlyFolderWithFile: a file that is there can be locked. One that cannot
// be removed makes the release fail, and yet gives the lock back.
func TestReadOnlyFolderWithFile(t *testing.T) {
	for kind, released := range map[string]string{"lock": "ok", "rlock": "ok", "temporary": "error release"} {
		t.Run(kind, func(t *testing.T) {
			dir := sharedDir(t, 0o555)
			path := inReadOnly(t, dir, "x", "precious", 0o666)
			before := snapshot(t, dir)
			p, answer := taker(t, kind, path, "nobody")
			if answer != "ok" {
				t.Fatalf("got %q", answer)
			}
			p.Say("release")
			if answer := p.Hear(); !strings.HasPrefix(answer, released) || released != "ok" && !strings.Contains(answer, "permission denied") {
				t.Errorf("release: %q", answer)
			}
			isFree(t, "lock", path)
			unchanged(t, dir, before)
		})
	}
}

// TestPIDFileInReadOnlyFolder: the sidecar can be locked and the PID file cannot be
// written, so the lock is given back.
func TestPIDFileInReadOnlyFolder(t *testing.T) {
	dir := sharedDir(t, 0o555)
	path := filepath.Join(dir, "x.pid")
	inReadOnly(t, dir, "x.pid.lock", "", 0o666)
	before := snapshot(t, dir)
	p, answer := taker(t, "pid", path, "nobody") // and lives on
	if !strings.HasPrefix(answer, "error ") || !strings.Contains(answer, "x.pid") || !strings.Contains(answer, "permission denied") {
		t.Errorf("got %q", answer)
	}
	if strings.Contains(answer, " | ") {
		t.Errorf("%q is more than one line", answer)
	}
	unchanged(t, dir, before)
	isFree(t, "lock", path+".lock")
	p.Kill()
}

// TestUnreadablePIDFile: it is no reason to say anything else than that the lock is
// held.
func TestUnreadablePIDFile(t *testing.T) {
	for _, m := range []string{"default", "ofd"} { // with which the system tells the PID, and does not
		t.Run(m, func(t *testing.T) {
			if !hasMechanism(m) {
				t.Skip("not on this platform")
			}
			path := filepath.Join(sharedDir(t, 0o755), "x.pid")
			holding := portalocker.NewPIDFileLock(path, portalocker.WithMechanism(mechanismNamed(m)))
			must(t, holding.Acquire(t.Context()))
			must(t, os.Chmod(path, 0))
			must(t, os.Chmod(path+".lock", 0o666))
			if _, answer := taker(t, "pid", path, "nobody", "mechanism="+m); answer != "locked" {
				t.Errorf("got %q", answer)
			}
			must(t, holding.Release())
		})
	}
}

// TestFilePermissions: a file that may be read only can be locked in mode r, one
// that may be written only in mode a or w; the others fail and say why.
func TestFilePermissions(t *testing.T) {
	for _, test := range []struct {
		perm   os.FileMode
		mode   string
		answer string
	}{
		{0o444, "r", "ok"},
		{0o444, "r+", "error open"},
		{0o444, "a", "error open"},
		{0o444, "w", "error open"},
		{0o222, "a", "ok"},
		{0o222, "w", "ok"},
		{0o222, "r", "error open"},
		{0o222, "a+", "error open"},
		{0o000, "r", "error open"},
		{0o000, "a", "error open"},
	} {
		t.Run(test.perm.String()+" "+test.mode, func(t *testing.T) {
			dir := sharedDir(t, 0o777)
			path := newFile(t, filepath.Join(dir, "x"), "precious", test.perm)
			p, answer := taker(t, "lock", path, "nobody", "mode="+test.mode)
			if !strings.HasPrefix(answer, test.answer) || answer != "ok" && !strings.Contains(answer, "permission denied") {
				t.Errorf("got %q", answer)
			}
			p.Kill()
			if info, err := os.Stat(path); err != nil || (info.Size() == 0) != (test.mode == "w" && answer == "ok") {
				t.Errorf("the file has %d bytes, %v", info.Size(), err)
			}
		})
	}
}

// TestUnreadableDirectory: a directory is opened for reading, whatever the mode, and
// the error is that of this.
func TestUnreadableDirectory(t *testing.T) {
	for _, mode := range []string{"a", "a+", "r"} {
		dir := sharedDir(t, 0o311)
		if _, answer := taker(t, "lock", dir, "nobody", "mode="+mode); !strings.Contains(answer, "permission denied") {
			t.Errorf("mode %s: %q", mode, answer)
		}
	}
}

// TestExclusiveNeedsWriting: fcntl(2) locks a file exclusively only where it is
// open for writing, so mode r opens it for that too; who may not write it is told.
func TestExclusiveNeedsWriting(t *testing.T) {
	for _, m := range []string{"ofd", "posix"} {
		t.Run(m, func(t *testing.T) {
			if !hasMechanism(m) {
				t.Skip("not on this platform")
			}
			dir := sharedDir(t, 0o777)
			path := newFile(t, filepath.Join(dir, "x"), "precious", 0o666)
			p, answer := taker(t, "lock", path, "nobody", "mode=r", "mechanism="+m)
			if answer != "ok" {
				t.Errorf("a file that may be written: %q", answer)
			}
			if _, answer := taker(t, "lock", path, "mechanism="+m); answer != "locked" {
				t.Errorf("and then, in another process: %q", answer)
			}
			p.Kill()

			must(t, os.Chmod(path, 0o444))
			if _, answer = taker(t, "lock", path, "nobody", "mode=r", "mechanism="+m, "shared"); answer != "ok" {
				t.Errorf("shared, a file that may be read only: %q", answer)
			}
			_, answer = taker(t, "lock", path, "nobody", "mode=r", "mechanism="+m)
			if !strings.HasPrefix(answer, "error ") || !strings.Contains(answer, "permission denied") || !strings.Contains(answer, "exclusive") {
				t.Errorf("exclusive, a file that may be read only: %q does not say that an exclusive lock needs writing", answer)
			}

			must(t, os.Chmod(path, 0o222))
			_, answer = taker(t, "lock", path, "nobody", "mode=a", "mechanism="+m, "shared")
			if !strings.HasPrefix(answer, "error ") || !strings.Contains(answer, "permission denied") || !strings.Contains(answer, "shared") {
				t.Errorf("shared, a file that may be written only: %q does not say that a shared lock needs reading", answer)
			}
		})
	}
}
