//go:build unix

package oslock_test

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/portalocker/portalocker/internal/oslock"
)

// stillOpen says whether a file is open, as far as this process uses it.
func stillOpen(f *os.File) bool {
	_, err := f.Stat()
	return !errors.Is(err, os.ErrClosed)
}

// TestPOSIXCloseOfAnother: the kernel drops a process's fcntl lock when the
// process closes any descriptor of the file, so Close waits. Another process is
// asked, since only the kernel's own lock counts.
func TestPOSIXCloseOfAnother(t *testing.T) {
	path := newFile(t)
	a, b, c, other := open(t, path), open(t, path), open(t, path), start(t, oslock.POSIX, path)
	must(t, oslock.Try(a.Fd(), oslock.POSIX, oslock.Exclusive))
	mustBeLocked(t, oslock.Try(b.Fd(), oslock.POSIX, oslock.Exclusive))
	must(t, oslock.Close(b))
	must(t, oslock.Close(c))
	ask(t, other, "try exclusive", "locked")
	ask(t, other, "try shared", "locked")
	must(t, oslock.Unlock(a.Fd(), oslock.POSIX))
	ask(t, other, "try exclusive", "ok")
	if stillOpen(b) || stillOpen(c) {
		t.Error("the closes that had to wait were never done")
	}
	if !stillOpen(a) {
		t.Error("the file that was only unlocked is closed")
	}
}

// TestPOSIXShared: the kernel has one lock for all the sharers of a process, which
// must live as long as the last of them.
func TestPOSIXShared(t *testing.T) {
	path := newFile(t)
	a, b, other := open(t, path), open(t, path), start(t, oslock.POSIX, path)
	must(t, oslock.Try(a.Fd(), oslock.POSIX, oslock.Shared))
	must(t, oslock.Try(b.Fd(), oslock.POSIX, oslock.Shared))
	must(t, oslock.Unlock(a.Fd(), oslock.POSIX))
	must(t, oslock.Close(a))
	ask(t, other, "try exclusive", "locked")
	ask(t, other, "try shared", "ok")
	ask(t, other, "unlock", "ok")
	must(t, oslock.Unlock(b.Fd(), oslock.POSIX))
	must(t, oslock.Close(b))
	ask(t, other, "try exclusive", "ok")
	if stillOpen(a) || stillOpen(b) {
		t.Error("a file is still open")
	}
}

// TestPOSIXSharedByTheFirst: the kernel's lock for all the sharers stays with the
// descriptor of the first, also when that is unlocked, and closed. The others hold it
// all the same, against this process too.
func TestPOSIXSharedByTheFirst(t *testing.T) {
	path := newFile(t)
	a, b, c, other := open(t, path), open(t, path), open(t, path), start(t, oslock.POSIX, path)
	must(t, oslock.Try(a.Fd(), oslock.POSIX, oslock.Shared))
	must(t, oslock.Try(b.Fd(), oslock.POSIX, oslock.Shared))
	must(t, oslock.Unlock(a.Fd(), oslock.POSIX))
	mustBeLocked(t, oslock.Try(c.Fd(), oslock.POSIX, oslock.Exclusive))
	must(t, oslock.Close(a))
	mustBeLocked(t, oslock.Try(c.Fd(), oslock.POSIX, oslock.Exclusive))
	ask(t, other, "try exclusive", "locked")
	must(t, oslock.Unlock(b.Fd(), oslock.POSIX))
	must(t, oslock.Try(c.Fd(), oslock.POSIX, oslock.Exclusive))
}

// TestPOSIXOtherFiles: what is held on one file is no reason to keep others open.
func TestPOSIXOtherFiles(t *testing.T) {
	a, b := open(t, newFile(t)), open(t, newFile(t))
	must(t, oslock.Try(a.Fd(), oslock.POSIX, oslock.Exclusive))
	must(t, oslock.Try(b.Fd(), oslock.POSIX, oslock.Exclusive))
	must(t, oslock.Unlock(b.Fd(), oslock.POSIX))
	must(t, oslock.Close(b))
	if stillOpen(b) {
		t.Error("the close waits for a lock on another file")
	}
}

// TestPOSIXClosedBehindItsBack: the kernel has dropped the lock of a descriptor
// that was closed without being unlocked, and the table must notice.
func TestPOSIXClosedBehindItsBack(t *testing.T) {
	path := newFile(t)
	a, b, other := open(t, path), open(t, path), start(t, oslock.POSIX, path)
	must(t, oslock.Try(a.Fd(), oslock.POSIX, oslock.Exclusive))
	must(t, a.Close())
	must(t, oslock.Block(b.Fd(), oslock.POSIX, oslock.Exclusive))
	ask(t, other, "try exclusive", "locked")
	must(t, oslock.Unlock(b.Fd(), oslock.POSIX))
	ask(t, other, "try exclusive", "ok")
}

// TestPOSIXClosedBehindItsBackAndTaken: the same, when another process was quicker
// to take the lock. Then nobody here holds it, so nothing is left for a close to
// wait for.
func TestPOSIXClosedBehindItsBackAndTaken(t *testing.T) {
	path := newFile(t)
	a, b, c, other := open(t, path), open(t, path), open(t, path), start(t, oslock.POSIX, path)
	must(t, oslock.Try(a.Fd(), oslock.POSIX, oslock.Exclusive))
	must(t, oslock.Close(c)) // has to wait for a
	must(t, a.Close())
	ask(t, other, "try exclusive", "ok")
	mustBeLocked(t, oslock.Try(b.Fd(), oslock.POSIX, oslock.Exclusive))
	must(t, oslock.Close(b))
	if stillOpen(b) {
		t.Error("a file stays open although this process has no lock on it")
	}
	if stillOpen(c) {
		t.Error("a close waits although this process has no lock any more")
	}
}

// TestPOSIXReusedNumber: the number of the descriptor that was closed behind its
// back comes back as another descriptor of the same file, which holds nothing,
// however its own try ends.
func TestPOSIXReusedNumber(t *testing.T) {
	path := newFile(t)
	a, other := open(t, path), start(t, oslock.POSIX, path)
	number := a.Fd()
	must(t, oslock.Try(number, oslock.POSIX, oslock.Exclusive))
	must(t, a.Close())
	ask(t, other, "try exclusive", "ok")
	b := open(t, path) // open(2) gives the lowest number that is free
	if b.Fd() != number {
		t.Skipf("the system gave descriptor %d, not %d again", b.Fd(), number)
	}
	mustBeLocked(t, oslock.Try(b.Fd(), oslock.POSIX, oslock.Exclusive))
	ask(t, other, "unlock", "ok")
	c := open(t, path)
	must(t, oslock.Try(c.Fd(), oslock.POSIX, oslock.Exclusive))
	must(t, oslock.Unlock(c.Fd(), oslock.POSIX))
	must(t, oslock.Close(b))
	if stillOpen(b) {
		t.Error("a file that holds nothing stays open")
	}
}

// TestPOSIXGoroutines: goroutines that open, lock, count, unlock and close get in
// each other's way as processes do, and leave nothing open.
func TestPOSIXGoroutines(t *testing.T) {
	path := newFile(t)
	var inside, turns atomic.Int32
	var opened sync.Map // of *os.File
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				f, err := os.OpenFile(path, os.O_RDWR, 0)
				if err != nil {
					t.Error(err)
					return
				}
				opened.Store(f, nil)
				if err := oslock.Block(f.Fd(), oslock.POSIX, oslock.Exclusive); err != nil {
					t.Error(err)
				}
				if inside.Add(1) != 1 {
					t.Error("two holders at once")
				}
				turns.Add(1)
				inside.Add(-1)
				if err := errors.Join(oslock.Unlock(f.Fd(), oslock.POSIX), oslock.Close(f)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := turns.Load(); n != 8*50 {
		t.Errorf("%d turns", n)
	}
	for f := range opened.Range {
		if stillOpen(f.(*os.File)) {
			t.Fatal("a file is still open")
		}
	}
}
