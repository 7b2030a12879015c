package portalocker_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
)

// plants are what a stranger may put where a lock's file is to be.
var plants = []struct {
	name   string
	plant  func(t *testing.T, path, victim string)
	reason string // why it is refused
}{
	{"link to a file", func(t *testing.T, path, victim string) {
		must(t, os.Symlink(victim, path))
	}, "symbolic link"},
	{"link to nothing", func(t *testing.T, path, victim string) {
		must(t, os.Symlink(victim+".new", path))
	}, "symbolic link"},
	{"link to a folder", func(t *testing.T, path, victim string) {
		must(t, os.Symlink(filepath.Dir(victim), path))
	}, "symbolic link"},
	{"FIFO", func(t *testing.T, path, _ string) { must(t, unix.Mkfifo(path, 0o666)) }, "a named pipe"},
	{"folder", func(t *testing.T, path, _ string) { must(t, os.Mkdir(path, 0o777)) }, "a directory"},
	// With fs.protected_hardlinks a stranger can do this only with a file that they
	// may write.
	{"hard link to a file", func(t *testing.T, path, victim string) { must(t, os.Link(victim, path)) }, "hard links"},
}

// TestPlanted: whatever a stranger puts where a lock's file is to be, root, who could
// do anything to it, does nothing: no truncation, no new file, no wait.
func TestPlanted(t *testing.T) {
	for _, p := range plants {
		for _, kind := range privateKinds {
			for _, mode := range []portalocker.Mode{"a", "w", "r+"} {
				t.Run(p.name+"/"+kind+" "+string(mode), func(t *testing.T) {
					dir := stickyDir(t)
					home, victim := precious(t)
					path := filepath.Join(dir, "x")
					p.plant(t, lockedFile(kind, path), victim)
					if p.reason != "hard links" {
						asStranger(t, lockedFile(kind, path))
					}
					before, beforeHome := snapshot(t, dir), snapshot(t, home)
					acquire, _ := targetOf(kind, path, portalocker.WithMode(mode), portalocker.WithFailWhenLocked(false))
					err := inTime(t, func() error { return acquire(t.Context()) })
					mustSay(t, err, p.reason)
					if errors.Is(err, portalocker.ErrAlreadyLocked) {
						t.Errorf("%v would be waited for", err)
					}
					unchanged(t, dir, before)
					unchanged(t, home, beforeHome)
					nothingOpen(t, dir)
					nothingOpen(t, home)
				})
			}
		}
	}
}

// TestPlantedPIDFile: the same in place of the PID file itself, which is written. A
// name of another file is replaced, and the file stays.
func TestPlantedPIDFile(t *testing.T) {
	for _, p := range plants {
		t.Run(p.name, func(t *testing.T) {
			dir := stickyDir(t)
			home, victim := precious(t)
			path := filepath.Join(dir, "x.pid")
			p.plant(t, path, victim)
			beforeHome := snapshot(t, home)
			l := portalocker.NewPIDFileLock(path)
			_, err := l.ReadPID()
			mustSay(t, err, p.reason)
			if err != nil && strings.Contains(err.Error(), "precious\"") {
				t.Errorf("%v tells what is in the file", err)
			}
			err = inTime(t, func() error { return l.Acquire(t.Context()) })
			if p.reason == "hard links" {
				must(t, err)
				must(t, l.Release())
				unchanged(t, dir, nil)
			} else {
				mustSay(t, err, p.reason)
			}
			unchanged(t, home, beforeHome)
			isFree(t, "lock", path+".lock")
		})
	}
}

// TestStrangersFile: a regular file of a stranger can be locked, if they allow it:
// that is how locks are shared. In a sticky folder it cannot be removed, which is an
// error of the release, and yet gives the lock back.
func TestStrangersFile(t *testing.T) {
	for kind, said := range map[string][2]string{
		"lock":      {"ok", "ok"},
		"semaphore": {"ok", "ok"},
		"temporary": {"ok", "error release"},
		"pid":       {"ok", "error release"},
	} {
		t.Run(kind, func(t *testing.T) {
			path := filepath.Join(stickyDir(t), "x")
			file := newFile(t, lockedFile(kind, path), "content", 0o666)
			asStranger(t, file)
			p := testproc.Start(t, "victim", kind, path)
			for i, want := range said {
				if answer := p.Hear(); !strings.HasPrefix(answer, want) {
					t.Errorf("answer %d is %q, not %q", i, answer, want)
				}
			}
			must(t, p.Wait())
			if text, err := os.ReadFile(file); err != nil || string(text) != "content" {
				t.Errorf("the file: %q, %v", text, err)
			}
			isFree(t, "lock", file)
		})
		t.Run(kind+" that is closed to others", func(t *testing.T) {
			path := filepath.Join(stickyDir(t), "x")
			asStranger(t, newFile(t, lockedFile(kind, path), "content", 0o600))
			p := testproc.Start(t, "victim", kind, path)
			if answer := p.Hear(); !strings.Contains(answer, "permission denied") {
				t.Errorf("answer %q", answer)
			}
			must(t, p.Wait())
		})
	}
}

// TestReleaseLeavesOthersFiles: what lies at the path at the release, and is not the
// file that was locked, stays, and so does what it leads to.
func TestReleaseLeavesOthersFiles(t *testing.T) {
	for _, p := range plants {
		for _, kind := range []string{"temporary", "pid"} {
			t.Run(p.name+"/"+kind, func(t *testing.T) {
				dir := stickyDir(t)
				home, victim := precious(t)
				path := filepath.Join(dir, "x")
				acquire, release := targetOf(kind, path)
				must(t, acquire(t.Context()))
				must(t, os.Remove(lockedFile(kind, path))) // as who owns the folder can
				p.plant(t, lockedFile(kind, path), victim)
				asStrangerUnlessHard(t, p.reason, lockedFile(kind, path))
				before, beforeHome := snapshot(t, dir), snapshot(t, home)
				must(t, release())
				unchanged(t, dir, before)
				unchanged(t, home, beforeHome)
				nothingOpen(t, dir)
			})
		}
	}
}

func asStrangerUnlessHard(t *testing.T, reason, path string) {
	t.Helper()
	if reason != "hard links" {
		asStranger(t, path)
	}
}

// TestPlantedForOpenAtomic: WriteFileAtomic follows and empties nothing, neither at
// its destination nor where its drafts are to be.
func TestPlantedForOpenAtomic(t *testing.T) {
	for _, p := range plants {
		t.Run(p.name, func(t *testing.T) {
			dir := stickyDir(t)
			home, victim := precious(t)
			path := filepath.Join(dir, "x")
			p.plant(t, path, victim)
			for n := range 3 {
				p.plant(t, filepath.Join(dir, ".x."+strconv.Itoa(n)+".portalocker-tmp"), victim)
			}
			before, beforeHome := snapshot(t, dir), snapshot(t, home)
			err := inTime(t, func() error { return portalocker.WriteFileAtomic(path, []byte("mine"), 0o600) })
			if !errors.Is(err, fs.ErrExist) {
				t.Errorf("without WithReplace: %v", err)
			}
			unchanged(t, dir, before)
			err = inTime(t, func() error {
				return portalocker.WriteFileAtomic(path, []byte("mine"), 0o600, portalocker.WithReplace())
			})
			unchanged(t, home, beforeHome) // also where the name was replaced
			if info, statErr := os.Lstat(path); statErr != nil || (err == nil) != info.Mode().IsRegular() {
				t.Errorf("with WithReplace: %v; there is %v, %v", err, info, statErr)
			}
		})
	}
}

// TestPlantedDrafts: a stranger can take all the names of drafts. Then a file cannot
// be replaced, which is said at once, and a new one is published all the same.
func TestPlantedDrafts(t *testing.T) {
	dir := stickyDir(t)
	_, victim := precious(t)
	path := newFile(t, filepath.Join(dir, "x"), "old", 0o600)
	for n := range 1000 {
		must(t, os.Symlink(victim, filepath.Join(dir, ".x."+strconv.Itoa(n)+".portalocker-tmp")))
	}
	err := inTime(t, func() error {
		return portalocker.WriteFileAtomic(path, []byte("new"), 0o600, portalocker.WithReplace())
	})
	mustSay(t, err, "in the way")
	must(t, os.Remove(path))
	must(t, inTime(t, func() error { return portalocker.WriteFileAtomic(path, []byte("new"), 0o600) }))
	if text, err := os.ReadFile(victim); err != nil || string(text) != "precious" {
		t.Errorf("the victim's file: %q, %v", text, err)
	}
}
