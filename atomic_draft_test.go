package portalocker_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
)

// TestAtomicForgotten: who calls neither Commit nor Close publishes nothing. The
// garbage collector closes the file, and then what is left of it goes with the next
// one of the same destination.
func TestAtomicForgotten(t *testing.T) {
	overWays(t, func(t *testing.T, dir string, w way) {
		path := filepath.Join(dir, "x")
		func() {
			f, err := portalocker.OpenAtomic(path, w.before(nil))
			must(t, err)
			_, err = f.WriteString("forgotten")
			must(t, err)
		}()
		must(t, inTime(t, func() error {
			for {
				runtime.GC()
				f, err := portalocker.OpenAtomic(path)
				if err != nil {
					return err
				}
				if err := f.Close(); err != nil {
					return err
				}
				entries, err := os.ReadDir(dir)
				if err != nil || len(entries) == 0 && len(openIn(dir)) == 0 {
					return err
				}
			}
		}))
	})
}

// openIn gives the descriptors of this process that are open in a directory, where
// the system tells.
func openIn(dir string) (descriptors []string) {
	links, _ := filepath.Glob("/proc/self/fd/*")
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && strings.HasPrefix(to, dir) {
			descriptors = append(descriptors, link)
		}
	}
	return descriptors
}

// TestAtomicFailures: whichever step fails, the destination is as it was and
// nothing is left over; after the publication the error says that it was.
func TestAtomicFailures(t *testing.T) {
	broken := errors.New("broken disk")
	for _, replace := range []bool{false, true} {
		overWays(t, func(t *testing.T, dir string, w way) {
			path := filepath.Join(dir, "x")
			var steps []portalocker.AtomicStep
			write := func(content string, before func(portalocker.AtomicStep) error) error {
				opts := []portalocker.AtomicOption{w.before(before)}
				if replace {
					opts = append(opts, portalocker.WithReplace())
				}
				return portalocker.WriteFileAtomic(path, []byte(content), 0o666, opts...)
			}
			reset := func() map[string]string {
				_ = os.Remove(path)
				if replace {
					must(t, os.WriteFile(path, []byte("old"), 0o666))
				}
				return snapshot(t, dir)
			}
			reset()
			must(t, write("new", func(step portalocker.AtomicStep) error {
				steps = append(steps, step)
				return nil
			}))
			t.Logf("replace %t: %v", replace, steps)
			if len(steps) < 4 {
				t.Fatalf("the steps were %v", steps)
			}
			for _, failing := range steps {
				before := reset()
				err := write("new", func(step portalocker.AtomicStep) error {
					if step == failing {
						return broken
					}
					return nil
				})
				if !errors.Is(err, broken) {
					t.Errorf("%s: got %v", failing, err)
				}
				mustSay(t, err, path+": ")
				done := failing == portalocker.StepSyncFolder || failing == portalocker.StepUnlink
				if errors.Is(err, portalocker.ErrNotDurable) != done {
					t.Errorf("%s: got %v", failing, err)
				}
				if !done {
					unchanged(t, dir, before)
				} else {
					mustHold(t, path, "new")
					must(t, portalocker.WriteFileAtomic(path, []byte("newer"), 0o666, portalocker.WithReplace(), w.before(nil)))
					published(t, path, "newer")
				}
			}
		})
	}
}

// TestAtomicWithoutLinks: without a way to publish that cannot replace, it fails
// rather than risk it.
func TestAtomicWithoutLinks(t *testing.T) {
	dir := testproc.Folder(t)
	path := filepath.Join(dir, "x")
	w := way{lacks: []portalocker.AtomicStep{portalocker.StepNameless, portalocker.StepMove, portalocker.StepLink}}
	err := portalocker.WriteFileAtomic(path, []byte("new"), 0o666, w.before(nil))
	if !errors.Is(err, portalocker.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
	mustSay(t, err, path)
	mustSay(t, err, "neither a rename that does not replace nor hard links")
	unchanged(t, dir, map[string]string{})
	must(t, portalocker.WriteFileAtomic(path, []byte("new"), 0o666, portalocker.WithReplace(), w.before(nil)))
	published(t, path, "new")
}

// TestAtomicGoroutines: of several that race for a name, one gets it; and several
// that replace it all do, one after the other.
func TestAtomicGoroutines(t *testing.T) {
	overWays(t, func(t *testing.T, dir string, w way) {
		const writers = 8
		rounds := 20
		if testing.Short() {
			rounds = 4
		}
		contents := make([]string, writers)
		for i := range contents {
			contents[i] = strings.Repeat(string(rune('a'+i)), 10_000+i)
		}
		path := filepath.Join(dir, "x")
		for range rounds {
			_ = os.Remove(path)
			race := func(opts ...portalocker.AtomicOption) (errs [writers]error) {
				var group sync.WaitGroup
				for i := range writers {
					group.Go(func() {
						errs[i] = portalocker.WriteFileAtomic(path, []byte(contents[i]), 0o666, append(opts, w.before(nil))...)
					})
				}
				group.Wait()
				return errs
			}
			winner := -1
			for i, err := range race() {
				switch {
				case err != nil:
					mustBeExist(t, err, path)
				case winner >= 0:
					t.Errorf("writers %d and %d both got the name", winner, i)
				default:
					winner = i
				}
			}
			if winner < 0 {
				t.Fatal("nobody got the name")
			}
			published(t, path, contents[winner])
			for i, err := range race(portalocker.WithReplace()) {
				if err != nil {
					t.Errorf("writer %d: %v", i, err)
				}
			}
			content, err := os.ReadFile(path)
			must(t, err)
			published(t, path, contents[content[0]-'a'])
		}
	})
}

// TestAtomicIsSafeForGoroutines: as an os.File, whatever several do at once.
func TestAtomicIsSafeForGoroutines(t *testing.T) {
	overWays(t, func(t *testing.T, dir string, w way) {
		for range 50 {
			path := filepath.Join(dir, "x")
			f, err := portalocker.OpenAtomic(path, w.before(nil))
			must(t, err)
			var group sync.WaitGroup
			var committed [2]error
			for range 3 {
				group.Go(func() {
					for range 10 {
						_, _ = f.WriteString("x") // fails once it is closed
					}
				})
			}
			for i := range committed {
				group.Go(func() { committed[i] = f.Commit() })
			}
			group.Go(func() {
				if err := f.Close(); err != nil {
					t.Error(err)
				}
			})
			group.Wait()
			successes := 0
			for _, err := range committed {
				switch {
				case err == nil:
					successes++
				case !errors.Is(err, fs.ErrClosed):
					t.Error(err)
				}
			}
			if want := []string{"", "x"}[min(successes, 1)]; names(t, dir) != want || successes > 1 {
				t.Fatalf("%d commits succeeded, and there are %q", successes, names(t, dir))
			}
			_ = os.Remove(path)
		}
	})
}

// TestAtomicLeavesLivingDraftsAlone: those of others at the same destination.
func TestAtomicLeavesLivingDraftsAlone(t *testing.T) {
	dir := testproc.Folder(t)
	path := filepath.Join(dir, "x")
	var files []*portalocker.AtomicFile
	for i := range 6 {
		f, err := portalocker.OpenAtomic(path, portalocker.WithReplace(), ways[1].before(nil))
		must(t, err)
		_, err = fmt.Fprintf(f, "number %d", i)
		must(t, err)
		files = append(files, f)
	}
	if drafts := strings.Fields(names(t, dir)); len(drafts) != len(files) || !isDraft(drafts[0]) {
		t.Fatalf("there are %v", drafts)
	}
	for _, i := range []int{4, 0, 5, 1} {
		must(t, files[i].Commit())
		mustHold(t, path, fmt.Sprintf("number %d", i))
	}
	must(t, files[2].Close())
	must(t, files[3].Close())
	published(t, path, "number 1")
}

// TestAtomicRemovesDeadDrafts: what killed writers have left goes with the next
// open, and nothing else does.
func TestAtomicRemovesDeadDrafts(t *testing.T) {
	overWays(t, func(t *testing.T, dir string, w way) {
		path := filepath.Join(dir, "x")
		others := []string{".y.0.portalocker-tmp", ".x.portalocker-tmp", ".x.0.portalocker-tmp.bak", "x.0.portalocker-tmp"}
		for _, name := range others {
			must(t, os.WriteFile(filepath.Join(dir, name), []byte("precious"), 0o666))
		}
		folder := filepath.Join(dir, ".x.2.portalocker-tmp")
		must(t, os.Mkdir(folder, 0o777))
		before := snapshot(t, dir)
		for _, n := range []int{0, 1, 3, 5} {
			must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf(".x.%d.portalocker-tmp", n)), []byte("left over"), 0o400))
		}
		f, err := portalocker.OpenAtomic(path, w.before(nil))
		must(t, err)
		must(t, f.Close())
		unchanged(t, dir, before)
	})
}

// TestAtomicTakesTheNameOfTheDead: also of one that died after the open.
func TestAtomicTakesTheNameOfTheDead(t *testing.T) {
	dir := testproc.Folder(t)
	path := filepath.Join(dir, "x")
	drafts := 0
	f, err := portalocker.OpenAtomic(path, portalocker.WithReplace(), portalocker.BeforeStep(func(step portalocker.AtomicStep) error {
		if step == portalocker.StepRename {
			drafts = strings.Count(names(t, dir), ".portalocker-tmp")
		}
		return nil
	}))
	must(t, err)
	left := filepath.Join(dir, ".x.0.portalocker-tmp")
	if _, err := os.Lstat(left); err == nil {
		must(t, f.Close())
		t.Skip("here the file has had that name since it was opened")
	}
	must(t, os.WriteFile(left, []byte("left over"), 0o666))
	must(t, f.Commit())
	published(t, path, "")
	if drafts != 1 {
		t.Errorf("there were %d temporary names", drafts)
	}
}

// TestAtomicFindsAName: also when a thousand are taken by what it cannot remove.
func TestAtomicFindsAName(t *testing.T) {
	if testing.Short() {
		t.Skip("it makes a thousand folders")
	}
	dir := testproc.Folder(t)
	path := filepath.Join(dir, "x")
	for n := range 1000 {
		must(t, os.Mkdir(filepath.Join(dir, fmt.Sprintf(".x.%d.portalocker-tmp", n)), 0o777))
	}
	before := snapshot(t, dir)
	err := portalocker.WriteFileAtomic(path, nil, 0o666, ways[1].before(nil))
	mustSay(t, err, "1000 files like .x.0.portalocker-tmp")
	unchanged(t, dir, before)
	must(t, os.Remove(filepath.Join(dir, ".x.999.portalocker-tmp")))
	must(t, portalocker.WriteFileAtomic(path, []byte("new"), 0o666, ways[1].before(nil)))
	mustHold(t, path, "new")
}
