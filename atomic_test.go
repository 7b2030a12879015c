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
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
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
			dir := testproc.Folder(t)
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
	mustSay(t, err, path+": file already exists") // the same words at the open and at the commit
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
			dir := testproc.Folder(t)
			t.Chdir(dir)
			f, err := portalocker.OpenAtomic("x", w.before(nil))
			must(t, err)
			t.Chdir(testproc.Folder(t))
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
	dir := testproc.Folder(t)
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
			before := w.before(func(step portalocker.AtomicStep) error {
				for draft := range strings.FieldsSeq(names(t, dir)) {
					if !utf8.ValidString(draft) || len(draft) > 255 {
						t.Errorf("%s: some systems refuse the name %q", step, draft)
					}
				}
				return nil
			})
			must(t, portalocker.WriteFileAtomic(path, []byte("two"), 0o666, portalocker.WithReplace(), before))
			published(t, path, "two")
			must(t, os.Remove(path))
		}
	})
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
	path := filepath.Join(testproc.Folder(t), "x")
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
