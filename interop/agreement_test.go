//go:build unix

package interop

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/portalocker/portalocker/internal/testproc"
)

// What must agree, and what happens where it does not: docs/python.md says so.

// With TMPDIR set, both sides put a semaphore's files into it when no folder is given.
func TestDefaultFolder(t *testing.T) {
	for _, version := range pythonVersions(t) {
		t.Run(version, func(t *testing.T) {
			folder := t.TempDir()
			t.Setenv("TMPDIR", folder)
			want := filepath.Join(folder, "it.00.lock") + " " + filepath.Join(folder, "it.01.lock")
			for _, s := range []side{goSide, pythonSide(version)} {
				p := s.start(t, "named-default-folder", "it", "limit=2")
				if got := ask(p, "names", "ok"); got != want {
					t.Errorf("the slots of %s are %s, not %s", s.name, got, want)
				}
			}
		})
	}
}

// Flock and fcntl locks do not meet on Linux's local filesystems. A program that
// relies on the other to use the same mechanism finds out here.
func TestMechanismsMustMatch(t *testing.T) {
	versions := pythonVersions(t)
	if runtime.GOOS != "linux" {
		t.Skip("on some systems flock and fcntl locks meet")
	}
	for _, kinds := range [][2]string{{"lockf", "lock"}, {"lock", "posix"}, {"lock", "ofd"}} {
		path := filepath.Join(t.TempDir(), "it")
		a := pythonSide(versions[len(versions)-1]).start(t, kinds[0], path)
		b := goSide.start(t, kinds[1], path)
		ask(a, "try", "ok")
		ask(b, "try", "ok")
	}
}

// A Python program that knows nothing of portalocker meets the same locks.
func TestPlainPython(t *testing.T) {
	versions := pythonVersions(t)
	program := `
import fcntl, sys
file = open(sys.argv[2], 'a')
lock = getattr(fcntl, sys.argv[1])
for line in sys.stdin:
    try:
        lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        print('ok', flush=True)
    except BlockingIOError:
        print('locked', flush=True)
`
	for call, kind := range map[string]string{"flock": "lock", "lockf": "posix"} {
		path := filepath.Join(t.TempDir(), "it")
		a := goSide.start(t, kind, path)
		b := testproc.StartCmd(t, exec.Command(interpreter(versions[0]), "-I", "-c", program, call, path))
		ask(a, "try", "ok")
		ask(b, "try", "locked")
		ask(a, "release", "ok")
		ask(b, "try", "ok")
		ask(a, "try", "locked")
	}
}
