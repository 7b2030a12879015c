package notify_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portalocker/portalocker/internal/notify"
	"github.com/portalocker/portalocker/internal/testproc"
)

// watch watches a file until the end of the test.
func watch(t *testing.T, f *os.File) *notify.Watch {
	t.Helper()
	w, err := notify.New(f)
	must(t, err)
	t.Cleanup(w.Close)
	return w
}

// soon is a time that comes only if something hangs.
func soon() time.Time { return time.Now().Add(time.Minute) }

// mustHint waits for a hint.
func mustHint(t *testing.T, w *notify.Watch, after string) {
	t.Helper()
	if !w.Wait(t.Context(), soon()) {
		t.Fatalf("no hint after %s", after)
	}
}

// mustNotHint fails if what happened so far gave a hint. The kernel queues events
// in order, so those of an earlier moment have been read when the one that is made
// here arrives.
func mustNotHint(t *testing.T, w *notify.Watch, after string) {
	t.Helper()
	fence := newFile(t)
	watched := watch(t, fence)
	must(t, os.Chmod(fence.Name(), 0o600)) // IN_ATTRIB
	mustHint(t, watched, "a change of permissions")
	if w.Wait(t.Context(), time.Unix(1, 0)) {
		t.Errorf("a hint after %s", after)
	}
}

// TestHint: what may have freed the lock of an open file gives a hint, and nothing
// does before that.
func TestHint(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(t *testing.T, path string, other *testproc.Process)
	}{
		{"close in another process", func(t *testing.T, _ string, other *testproc.Process) {
			other.Say("close")
			other.Expect("closed")
		}},
		{"kill of another process", func(_ *testing.T, _ string, other *testproc.Process) { other.Kill() }},
		{"unlink", func(t *testing.T, path string, _ *testproc.Process) { must(t, os.Remove(path)) }},
		{"rename", func(t *testing.T, path string, _ *testproc.Process) { must(t, os.Rename(path, path+".old")) }},
		{"replacement", func(t *testing.T, path string, _ *testproc.Process) {
			must(t, os.WriteFile(path+".new", nil, 0o600))
			must(t, os.Rename(path+".new", path))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFile(t)
			other := opener(t, f.Name())
			w := watch(t, f)
			mustNotHint(t, w, "nothing")
			test.do(t, f.Name(), other)
			mustHint(t, w, test.name)
		})
	}
}

// TestWatchFollowsTheFile: another file at the same path is none of its business.
func TestWatchFollowsTheFile(t *testing.T) {
	f := newFile(t)
	path := f.Name()
	old := opener(t, path)
	w := watch(t, f)
	must(t, os.Rename(path, path+".old"))
	mustHint(t, w, "a rename")
	must(t, os.WriteFile(path, nil, 0o600)) // opens and closes
	mustNotHint(t, w, "a close of another file of the name")
	old.Say("close")
	mustHint(t, w, "a close of the file")
}

// TestTwoWatches: two waiters on one inode, also by two links and two descriptors,
// share the kernel's watch; each is told, and one that leaves does not take it
// away from the other.
func TestTwoWatches(t *testing.T) {
	f := newFile(t)
	must(t, os.Link(f.Name(), f.Name()+".link"))
	g, err := os.Open(f.Name() + ".link")
	must(t, err)
	defer g.Close() //nolint:errcheck // nothing was written
	a, err := notify.New(f)
	must(t, err)
	b := watch(t, g)
	first, second := opener(t, f.Name()), opener(t, f.Name())
	first.Say("close")
	mustHint(t, a, "a close")
	mustHint(t, b, "a close")
	a.Close()
	second.Kill()
	mustHint(t, b, "a kill")
	if files, all := a.Fired(); len(files) != 1 || all { // of the first close
		t.Errorf("a closed watch got hints: %v, %v", files, all)
	}
}

// TestHintsAreCountedAsOne: a waiter that looks once has seen all that happened.
func TestHintsAreCountedAsOne(t *testing.T) {
	f := newFile(t)
	w := watch(t, f)
	last := newFile(t)
	fence := watch(t, last)
	for range 10 {
		must(t, os.WriteFile(f.Name(), nil, 0o600)) // opens and closes
	}
	must(t, os.Remove(last.Name()))
	mustHint(t, fence, "an unlink") // so the ten closes have been handed out
	mustHint(t, w, "ten closes")
	mustNotHint(t, w, "the hint that was received")
}

// TestDirectory: what happens to the entries of a locked directory says nothing
// about its lock. What happens to itself does.
func TestDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	must(t, os.Mkdir(dir, 0o700))
	f, err := os.Open(dir)
	must(t, err)
	defer f.Close() //nolint:errcheck // nothing was written
	other := opener(t, dir)
	w := watch(t, f)
	entry := filepath.Join(dir, strings.Repeat("long", 50)) // names are part of the event
	must(t, os.WriteFile(entry, []byte("text"), 0o600))
	must(t, os.Chmod(entry, 0o644))
	_, err = os.ReadFile(entry)
	must(t, err)
	must(t, os.Rename(entry, entry+"er"))
	must(t, os.Remove(entry+"er"))
	mustNotHint(t, w, "changes of an entry")
	other.Say("close")
	mustHint(t, w, "a close of the directory")
}

// TestInodeGone: when the inode itself goes the kernel takes the watch away. That
// is a hint, the watch can still be closed, and a file that gets the inode number
// after it can be watched.
func TestInodeGone(t *testing.T) {
	f := newFile(t)
	w, err := notify.New(f)
	must(t, err)
	must(t, os.Remove(f.Name()))
	must(t, f.Close())
	mustHint(t, w, "the end of the inode")

	again, err := os.Create(f.Name())
	must(t, err)
	defer again.Close() //nolint:errcheck // nothing was written
	other := opener(t, f.Name())
	v := watch(t, again)
	mustNotHint(t, v, "the end of another inode")
	w.Close()
	other.Kill()
	mustHint(t, v, "a kill")
}

// TestNothingStays: after the last Close no goroutine is left, and the next watch
// finds all as it was.
func TestNothingStays(t *testing.T) {
	f := newFile(t)
	before := descriptors(t)
	for round := range 3 {
		w, err := notify.New(f)
		must(t, err)
		must(t, os.WriteFile(f.Name(), nil, 0o600)) // opens and closes
		mustHint(t, w, fmt.Sprintf("a close in round %d", round))
		w.Close()
		if err := goleak.Find(); err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			before = descriptors(t) // the inotify instance stays
		}
	}
	if n := descriptors(t); n != before {
		t.Errorf("%d descriptors, and %d before", n, before)
	}
}

// TestManyWatches opens and closes many at once, on few files, so that the first
// and the last watch of a file and of the process come again and again.
func TestManyWatches(t *testing.T) {
	files := []*os.File{newFile(t), newFile(t), newFile(t)}
	var wg sync.WaitGroup
	for i := range 8 {
		f := files[i%len(files)]
		wg.Go(func() {
			for range 100 {
				w, err := notify.New(f)
				if err != nil {
					t.Error(err)
					return
				}
				if err := os.WriteFile(f.Name(), nil, 0o600); err != nil {
					t.Error(err)
				}
				if !w.Wait(t.Context(), soon()) {
					t.Error("no hint after a close")
				}
				w.Close()
			}
		})
	}
	wg.Wait()
}

// TestPaths: one watch on several files knows which of them it was.
func TestPaths(t *testing.T) {
	files := []*os.File{newFile(t), newFile(t), newFile(t), newFile(t)}
	var paths []string
	for _, f := range files {
		paths = append(paths, f.Name())
	}
	w, err := notify.NewPaths(paths)
	must(t, err)
	defer w.Close()
	fired := func(want ...int) {
		t.Helper()
		mustNotHint(t, watch(t, newFile(t)), "nothing") // all that happened has been read
		got, all := w.Fired()
		slices.Sort(got)
		if !slices.Equal(got, want) || all {
			t.Errorf("fired: %v and all %v, not %v", got, all, want)
		}
	}
	fired()
	must(t, os.WriteFile(paths[2], nil, 0o600)) // opens and closes
	mustHint(t, w, "a close of the third")
	fired(2)
	must(t, os.Remove(paths[3]))
	must(t, os.WriteFile(paths[0], nil, 0o600))
	must(t, os.WriteFile(paths[0], nil, 0o600))
	fired(0, 3)
	fired()
}

// TestPathsFollowNoLinks: a link that somebody has put there leads nowhere.
func TestPathsFollowNoLinks(t *testing.T) {
	f := newFile(t)
	link := f.Name() + ".link"
	must(t, os.Symlink(f.Name(), link))
	w, err := notify.NewPaths([]string{link})
	if err != nil {
		return
	}
	defer w.Close()
	must(t, os.WriteFile(f.Name(), nil, 0o600)) // opens and closes
	mustNotHint(t, w, "a close of what a link points to")
}

// TestCannotWatch: an error that names the file, and leaves nothing behind.
func TestCannotWatch(t *testing.T) {
	f := newFile(t)
	must(t, f.Close())
	if w, err := notify.New(f); err == nil {
		w.Close()
		t.Error("a closed file can be watched")
	}
	there := newFile(t)
	if w, err := notify.NewPaths([]string{there.Name(), there.Name() + ".missing"}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
		if err == nil {
			w.Close()
		}
	}
	p := testproc.Start(t, "unreadable", t.TempDir())
	if said := p.Expect("error"); !strings.Contains(said, "write-only") || !strings.Contains(said, "permission denied") {
		t.Errorf("a file that this user may not read: %s", said)
	}
}

func init() { roles["unreadable"] = unreadableRole }

// unreadableRole watches a file that it may write and not read. As root, for whom
// there is no such file, it becomes another user first.
func unreadableRole(p *testproc.Peer, args []string) error {
	path := filepath.Join(args[0], "write-only")
	err := os.WriteFile(path, nil, 0o600)
	if err == nil {
		err = os.Chmod(path, 0o222)
	}
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if os.Getuid() == 0 {
		if err := syscall.Setuid(65534); err != nil { // of all threads
			return err
		}
	}
	w, err := notify.New(f)
	if errors.Is(err, fs.ErrPermission) {
		err = errors.Join(err, goleak.Find())
	}
	if err == nil {
		w.Close()
	}
	p.Say("error %s", strings.ReplaceAll(fmt.Sprint(err), "\n", " | "))
	return nil
}

// descriptors counts what this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(fds)
}
