package portalocker_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
)

// isMode is the rule of Python's open(): one of r, w, a and x, at most one +, at
// most one of b and t, in any order.
func isMode(s string) bool {
	count := func(of string) (n int) {
		for _, c := range of {
			n += strings.Count(s, string(c))
		}
		return n
	}
	return count("rwax") == 1 && count("+") <= 1 && count("bt") <= 1 && count("rwax")+count("+")+count("bt") == len(s)
}

// TestEveryMode tries every string of up to four letters. An unknown one is an
// error before the file is looked for, which is not there.
func TestEveryMode(t *testing.T) {
	const letters = "rwax+bt z"
	path := filepath.Join(testproc.Folder(t), "missing", "x.lock")
	modes := []string{""}
	known := 0
	for from := 0; len(modes[from]) < 4; from++ {
		for _, letter := range letters {
			modes = append(modes, modes[from]+string(letter))
		}
	}
	for _, mode := range modes {
		_, err := portalocker.New(path, portalocker.WithMode(portalocker.Mode(mode))).Acquire(t.Context())
		switch {
		case isMode(mode) && !errors.Is(err, fs.ErrNotExist):
			t.Errorf("mode %q: %v, although Python's open takes it", mode, err)
		case !isMode(mode) && (!errors.Is(err, portalocker.ErrLock) || !strings.Contains(err.Error(), "unknown mode")):
			t.Errorf("mode %q: %v, although Python's open does not take it", mode, err)
		}
		if isMode(mode) {
			known++
		}
	}
	if len(modes) != 1+9+81+729+6561 || known != 76 { // 76 is what Python 3 says of them
		t.Errorf("%d strings and %d modes", len(modes), known)
	}
}

// TestUnknownMode: letters of other lengths and scripts.
func TestUnknownMode(t *testing.T) {
	for _, mode := range []portalocker.Mode{"R", "rU", "r+b+", "rb+t", "append", "а", "a\x00", "a\n", "\xff"} {
		dir := testproc.Folder(t)
		_, err := portalocker.New(filepath.Join(dir, "x"), portalocker.WithMode(mode)).Acquire(t.Context())
		mustSay(t, err, "unknown mode")
		unchanged(t, dir, nil)
	}
}

// modeEffect is what a mode does with a file that holds "content".
type modeEffect struct {
	opens   string // what the file holds when it is locked
	reads   bool
	writes  string // what it holds after "XY" was written first of all, "" if that fails
	rewinds string // and after "Z" was written at its start
	creates bool
}

var modeEffects = map[string]modeEffect{
	"r":  {opens: "content", reads: true},
	"r+": {opens: "content", reads: true, writes: "XYntent", rewinds: "ZYntent"},
	"w":  {opens: "", writes: "XY", rewinds: "ZY", creates: true},
	"w+": {opens: "", reads: true, writes: "XY", rewinds: "ZY", creates: true},
	"a":  {opens: "content", writes: "contentXY", rewinds: "contentXYZ", creates: true},
	"a+": {opens: "content", reads: true, writes: "contentXY", rewinds: "contentXYZ", creates: true},
}

func TestModes(t *testing.T) {
	for verb, want := range modeEffects {
		for _, mode := range []string{verb, verb + "b", verb + "t", "b" + verb} {
			t.Run(mode, func(t *testing.T) {
				path := filepath.Join(testproc.Folder(t), "x")
				must(t, os.WriteFile(path, []byte("content"), 0o600))
				l := portalocker.New(path, portalocker.WithMode(portalocker.Mode(mode)))
				f, err := l.Acquire(t.Context())
				must(t, err)
				mustHold(t, path, want.opens)
				if want.reads {
					content, err := io.ReadAll(f)
					if err != nil || string(content) != want.opens {
						t.Errorf("it reads %q, %v", content, err)
					}
					_, err = f.Seek(0, io.SeekStart)
					must(t, err)
				}
				_, err = f.WriteString("XY")
				if want.writes == "" {
					if err == nil {
						t.Error("it can be written")
					}
					mustHold(t, path, "content")
				} else {
					must(t, err)
					mustHold(t, path, want.writes)
					_, err = f.Seek(0, io.SeekStart)
					must(t, err)
					_, err = f.WriteString("Z")
					must(t, err)
					mustHold(t, path, want.rewinds)
				}
				must(t, l.Release())
			})
		}
	}
}

// TestModesOfMissingFiles: who wants to read a file does not make it.
func TestModesOfMissingFiles(t *testing.T) {
	for verb, want := range modeEffects {
		for _, kind := range []string{"lock", "rlock", "temporary"} {
			dir := testproc.Folder(t)
			l, acquire := newLock(kind, filepath.Join(dir, "x"), portalocker.WithMode(portalocker.Mode(verb)))
			err := acquire(t.Context())
			if want.creates {
				must(t, err)
				must(t, l.Release())
			} else if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s, mode %s: %v", kind, verb, err)
			} else {
				unchanged(t, dir, nil)
			}
			nothingOpen(t, dir)
		}
	}
}

// TestModeX makes a file, and refuses one that is there, which it neither locks
// nor changes.
func TestModeX(t *testing.T) {
	for _, mode := range []portalocker.Mode{"x", "x+", "xb"} {
		t.Run(string(mode), func(t *testing.T) {
			dir := testproc.Folder(t)
			path := filepath.Join(dir, "x")
			l := portalocker.New(path, portalocker.WithMode(mode))
			f, err := l.Acquire(t.Context())
			must(t, err)
			_, err = f.WriteString("content")
			must(t, err)
			_, again := newLock("lock", path, portalocker.WithTimeout(0))
			mustBeLocked(t, again(t.Context()))
			must(t, l.Release())
			before := snapshot(t, dir)
			for range 2 {
				if _, err := l.Acquire(t.Context()); !errors.Is(err, fs.ErrExist) || errors.Is(err, portalocker.ErrLock) {
					t.Errorf("a file that is there: %v", err)
				}
			}
			unchanged(t, dir, before)
			nothingOpen(t, dir)
			isFree(t, "lock", path)
			must(t, os.Remove(path))
			_, err = l.Acquire(t.Context())
			must(t, err)
			must(t, l.Release())
		})
	}
}

// TestTruncatesLast: w empties a file that somebody else has locked when it gets
// the lock, and not before, whichever way it fails to.
func TestTruncatesLast(t *testing.T) {
	for _, where := range []string{"this process", "another process"} {
		for _, kind := range []string{"lock", "rlock", "temporary"} {
			for _, mode := range []portalocker.Mode{"w", "w+", "wb"} {
				t.Run(where+"/"+kind+" "+string(mode), func(t *testing.T) {
					path := filepath.Join(testproc.Folder(t), "x")
					must(t, os.WriteFile(path, []byte("precious"), 0o600))
					var release func()
					if where == "this process" {
						holding := portalocker.New(path)
						_, err := holding.Acquire(t.Context())
						must(t, err)
						release = func() { must(t, holding.Release()) }
					} else {
						p := holder(t, "lock", path)
						release = func() { p.Say("release"); p.Expect("ok") }
					}
					l, acquire := newLock(kind, path, portalocker.WithMode(mode))
					waits := portalocker.WithFailWhenLocked(false)
					mustBeLocked(t, acquire(t.Context(), portalocker.WithTimeout(0)))
					mustBeLocked(t, acquire(t.Context(), portalocker.WithFailWhenLocked(true)))
					mustBeLocked(t, acquire(t.Context(), waits, portalocker.WithTimeout(1)))
					ctx, cancel := context.WithTimeout(t.Context(), 50e6) // must not be over when it begins
					defer cancel()
					mustBeLocked(t, acquire(ctx, waits, portalocker.WithTimeout(portalocker.Forever)))
					mustHold(t, path, "precious")

					got := make(chan error, 1)
					go func() { got <- acquire(t.Context(), waits, portalocker.WithTimeout(portalocker.Forever)) }()
					release()
					must(t, <-got)
					mustHold(t, path, "")
					must(t, l.Release())
				})
			}
		}
	}
}

// mustHold fails unless the file has that content.
func mustHold(t testing.TB, path, content string) {
	t.Helper()
	now, err := os.ReadFile(path)
	if err != nil && runtime.GOOS == "windows" {
		return // where nobody else can read what is locked exclusively
	}
	if err != nil || string(now) != content {
		t.Errorf("the file holds %q (%v), not %q", now, err, content)
	}
}
