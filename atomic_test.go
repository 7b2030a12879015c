package portalocker_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/portalocker/portalocker"
)

// way is one of the ways in which an AtomicFile may have to go, by what the
// filesystem lacks.
type way struct {
	name  string
	lacks []portalocker.AtomicStep
}

var ways = []way{
	{"default", nil},
	{"named", []portalocker.AtomicStep{portalocker.StepNameless}},
	{"linked", []portalocker.AtomicStep{portalocker.StepNameless, portalocker.StepMove}},
}

// before makes the steps fail that the way lacks, and calls more before the others.
func (w way) before(more func(portalocker.AtomicStep) error) portalocker.AtomicOption {
	return portalocker.BeforeStep(func(step portalocker.AtomicStep) error {
		for _, lacking := range w.lacks {
			if step == lacking {
				return portalocker.ErrUnsupported
			}
		}
		if more == nil {
			return nil
		}
		return more(step)
	})
}

// overWays runs a test in each way, in a directory of its own.
func overWays(t *testing.T, test func(t *testing.T, dir string, w way)) {
	t.Helper()
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			dir := t.TempDir()
			test(t, dir, w)
			nothingOpen(t, dir)
		})
	}
}

// mustBeExist fails unless the error says, by its type too, that path exists.
func mustBeExist(t *testing.T, err error, path string) {
	t.Helper()
	if e, ok := errors.AsType[*fs.PathError](err); !ok || e.Path != path || !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v, not a PathError that %s exists", err, path)
	}
}

// isDraft says whether a name in a folder is that of an unpublished file.
func isDraft(name string) bool {
	return strings.HasPrefix(name, ".") && strings.HasSuffix(name, ".portalocker-tmp")
}

// published fails unless dir holds one file of that content, and nothing else.
func published(t *testing.T, path, content string) {
	t.Helper()
	mustHold(t, path, content)
	if found := names(t, filepath.Dir(path)); found != filepath.Base(path) {
		t.Errorf("there are %s", found)
	}
}

// TestAtomicPublishes: nothing is to be seen before Commit, and all of it after.
func TestAtomicPublishes(t *testing.T) {
	overWays(t, func(t *testing.T, dir string, w way) {
		path := filepath.Join(dir, "x")
		for _, old := range []string{"", "old", "older and longer"} {
			opts := []portalocker.AtomicOption{w.before(nil)}
			if old != "" {
				must(t, os.WriteFile(path, []byte(old), 0o666))
				opts = append(opts, portalocker.WithReplace())
			}
			f, err := portalocker.OpenAtomic(path, opts...)
			must(t, err)
			if f.Name() != path {
				t.Errorf("its name is %q", f.Name())
			}
			_, err = f.WriteString("new")
			must(t, err)
			if old == "" {
				if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("the destination is there before Commit: %v", err)
				}
			} else {
				mustHold(t, path, old)
			}
			must(t, f.Commit())
			published(t, path, "new")
			must(t, f.Close())
			must(t, f.Close())
			published(t, path, "new")
			must(t, os.Remove(path))
		}
	})
}

func TestAtomicWrites(t *testing.T) {
	overWays(t, func(t *testing.T, dir string, w way) {
		path := filepath.Join(dir, "x")
		f, err := portalocker.OpenAtomic(path, w.before(nil))
		must(t, err)
		for _, write := range []func() error{
			func() error { _, err := f.Write([]byte("abc")); return err },
			func() error { _, err := f.WriteString("def"); return err },
			func() error { _, err := f.WriteAt([]byte("XY"), 1); return err },
			func() error { _, err := io.Copy(f, strings.NewReader("ghi")); return err },
			func() error { _, err := f.Seek(-1, io.SeekEnd); return err },
			func() error { _, err := fmt.Fprintf(f, "%d", 42); return err },
		} {
			must(t, write())
		}
		must(t, f.Commit())
		published(t, path, "aXYdefgh42")
	})
}

func TestWriteFileAtomic(t *testing.T) {
	overWays(t, func(t *testing.T, dir string, w way) {
		path := filepath.Join(dir, "x")
		must(t, portalocker.WriteFileAtomic(path, []byte("one"), 0o666, w.before(nil)))
		mustBeExist(t, portalocker.WriteFileAtomic(path, []byte("two"), 0o666, w.before(nil)), path)
		published(t, path, "one")
		big := strings.Repeat("three", 1_000_000)
		must(t, portalocker.WriteFileAtomic(path, []byte(big), 0o666, portalocker.WithReplace(), w.before(nil)))
		published(t, path, big)
		must(t, portalocker.WriteFileAtomic(path, nil, 0o666, portalocker.WithReplace(), w.before(nil)))
		published(t, path, "")
	})
}

// TestAtomicRefusesExisting: at the open, and again at the commit.
func TestAtomicRefusesExisting(t *testing.T) {
	inTheWay := map[string]func(path string) error{
		"file":   func(path string) error { return os.WriteFile(path, []byte("theirs"), 0o666) },
		"folder": func(path string) error { return os.Mkdir(path, 0o777) },
	}
	if runtime.GOOS != "windows" { // where it needs a privilege
		inTheWay["link to nothing"] = func(path string) error { return os.Symlink("nothing", path) }
	}
	for kind, appear := range inTheWay {
		t.Run(kind, func(t *testing.T) {
			overWays(t, func(t *testing.T, dir string, w way) {
				path := filepath.Join(dir, "x")
				f, err := portalocker.OpenAtomic(path, w.before(nil))
				must(t, err)
				_, err = f.WriteString("mine")
				must(t, err)
				must(t, appear(path))
				before := snapshot(t, path)
				mustBeExist(t, f.Commit(), path)
				if found := names(t, dir); found != "x" {
					t.Errorf("there are %s", found)
				}
				_, err = portalocker.OpenAtomic(path, w.before(nil))
				mustBeExist(t, err, path)
				unchanged(t, path, before)
				must(t, f.Close())
			})
		})
	}
}

// TestAtomicEnds: what comes after Commit or Close does nothing, and says so.
func TestAtomicEnds(t *testing.T) {
	overWays(t, func(t *testing.T, dir string, w way) {
		path := filepath.Join(dir, "x")
		open := func() *portalocker.AtomicFile {
			f, err := portalocker.OpenAtomic(path, portalocker.WithReplace(), w.before(nil))
			must(t, err)
			_, err = f.WriteString("new")
			must(t, err)
			return f
		}
		mustBeClosed := func(err error) {
			t.Helper()
			if !errors.Is(err, fs.ErrClosed) {
				t.Errorf("got %v", err)
			}
			mustSay(t, err, path)
		}
		f := open()
		must(t, f.Close())
		mustBeClosed(f.Commit())
		must(t, f.Close())
		unchanged(t, dir, map[string]string{})

		f = open()
		must(t, f.Commit())
		mustBeClosed(f.Commit())
		_, err := f.WriteString("more")
		mustBeClosed(err)
		published(t, path, "new")
	})
}

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
	dir := t.TempDir()
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

// TestAtomicFailedWrite: Commit does not publish what could not be written, also
// when nobody looked at the error.
func TestAtomicFailedWrite(t *testing.T) {
	overWays(t, func(t *testing.T, dir string, w way) {
		path := filepath.Join(dir, "x")
		f, err := portalocker.OpenAtomic(path, w.before(nil))
		must(t, err)
		_, err = f.WriteString("begin")
		must(t, err)
		broken := errors.New("broken pipe")
		if n, err := f.ReadFrom(io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken))); n != 4 || err != broken {
			t.Errorf("read %d bytes, %v", n, err)
		}
		if _, err := f.WriteAt(nil, -1); err == nil {
			t.Error("an offset below 0 is no error")
		} else {
			mustSay(t, err, path)
		}
		_, err = f.WriteString("end")
		must(t, err)
		err = f.Commit()
		if !errors.Is(err, broken) {
			t.Errorf("got %v, not the first error", err)
		}
		mustSay(t, err, "commit "+path+": an earlier write failed: ")
		unchanged(t, dir, map[string]string{})
		must(t, f.Close())
	})
}

// TestAtomicResolvesOnce: a change of the working directory moves nothing.
func TestAtomicResolvesOnce(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			dir := t.TempDir()
			t.Chdir(dir)
			f, err := portalocker.OpenAtomic("x", w.before(nil))
			must(t, err)
			t.Chdir(t.TempDir())
			_, err = f.WriteString("new")
			must(t, err)
			must(t, f.Commit())
			if f.Name() != "x" {
				t.Errorf("its name is %q", f.Name())
			}
			published(t, filepath.Join(dir, "x"), "new")
		})
	}
}

func TestAtomicBadPaths(t *testing.T) {
	dir := t.TempDir()
	file, folder := filepath.Join(dir, "file"), filepath.Join(dir, "folder")
	must(t, os.WriteFile(file, []byte("precious"), 0o666))
	must(t, os.Mkdir(folder, 0o777))
	before := snapshot(t, dir)
	for _, c := range []struct{ path, text string }{
		{"", "the path is empty"},
		{folder + string(filepath.Separator), "must end with the name of a file"},
		{filepath.Join(dir, "x") + string(filepath.Separator) + ".", "must end with the name of a file"},
		{folder + string(filepath.Separator) + "..", "must end with the name of a file"},
		{folder, "is a directory"},
		{filepath.Join(dir, "missing", "x"), ""},
		{filepath.Join(file, "x"), ""},
		{filepath.Join(dir, "nul\x00"), ""},
	} {
		for _, opts := range [][]portalocker.AtomicOption{{portalocker.WithReplace()}, {portalocker.WithReplace(), ways[1].before(nil)}} {
			_, err := portalocker.OpenAtomic(c.path, opts...)
			if e, ok := errors.AsType[*fs.PathError](err); !ok || e.Path != c.path {
				t.Errorf("%q: got %v", c.path, err)
			}
			if err != nil && !strings.Contains(err.Error(), c.text) {
				t.Errorf("%q: %v", c.path, err)
			}
		}
	}
	_, err := portalocker.OpenAtomic(filepath.Join(dir, "x"), portalocker.WithAtomicPerm(fs.ModeDir|0o777))
	mustSay(t, err, "only permission bits can be set")
	mustSay(t, portalocker.WriteFileAtomic(filepath.Join(dir, "x"), nil, fs.ModeSetuid|0o777), "only permission bits can be set")
	unchanged(t, dir, before)
	nothingOpen(t, dir)
}

// TestAtomicLongNames: a name may be as long as the filesystem allows, whatever
// the temporary one has to be.
func TestAtomicLongNames(t *testing.T) {
	overWays(t, func(t *testing.T, dir string, w way) {
		for _, name := range []string{strings.Repeat("n", 255), strings.Repeat("ä", 127), strings.Repeat("€", 67) + "x", "a b\tc"} {
			if runtime.GOOS == "windows" && strings.Contains(name, "\t") {
				continue
			}
			path := filepath.Join(dir, name)
			must(t, portalocker.WriteFileAtomic(path, []byte("one"), 0o666, w.before(nil)))
			must(t, portalocker.WriteFileAtomic(path, []byte("two"), 0o666, portalocker.WithReplace(), w.before(nil)))
			published(t, path, "two")
			must(t, os.Remove(path))
		}
	})
}

// TestAtomicGoroutines: of several that race for a name, one gets it; and several
// that replace it all do, one after the other.
func TestAtomicGoroutines(t *testing.T) {
	overWays(t, func(t *testing.T, dir string, w way) {
		const writers, rounds = 8, 20
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
	dir := t.TempDir()
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

// TestAtomicFindsAName: also when a thousand are taken by what it cannot remove.
func TestAtomicFindsAName(t *testing.T) {
	dir := t.TempDir()
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

// TestAtomicIsAWriter: for all that package io can do with one.
func TestAtomicIsAWriter(t *testing.T) {
	var _ interface {
		io.WriteSeeker
		io.WriterAt
		io.StringWriter
		io.ReaderFrom
		io.Closer
	} = (*portalocker.AtomicFile)(nil)
	path := filepath.Join(t.TempDir(), "x")
	f, err := portalocker.OpenAtomic(path)
	must(t, err)
	data := bytes.Repeat([]byte{1, 2, 3}, 100_000)
	_, err = io.Copy(f, iotest.OneByteReader(bytes.NewReader(data[:1000])))
	must(t, err)
	_, err = io.Copy(f, bytes.NewReader(data[1000:]))
	must(t, err)
	must(t, f.Commit())
	published(t, path, string(data))
}
