//go:build unix

package oslock_test

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/portalocker/portalocker/internal/oslock"
)

// TestConversion: a lock on a descriptor that has one replaces it. (LockFileEx
// cannot do that, so this is for Unix.)
func TestConversion(t *testing.T) {
	overMechanisms(t, func(t *testing.T, m oslock.Mechanism) {
		path := newFile(t)
		a, other := open(t, path), start(t, m, path)
		must(t, oslock.Try(a.Fd(), m, oslock.Exclusive))
		must(t, oslock.Try(a.Fd(), m, oslock.Exclusive)) // the same once more
		ask(t, other, "try shared", "locked")

		must(t, oslock.Try(a.Fd(), m, oslock.Shared))
		ask(t, other, "try shared", "ok")
		mustBeLocked(t, oslock.Try(a.Fd(), m, oslock.Exclusive))

		ask(t, other, "unlock", "ok")
		must(t, oslock.Block(a.Fd(), m, oslock.Exclusive))
		ask(t, other, "try shared", "locked")

		must(t, oslock.Unlock(a.Fd(), m)) // one unlock, however many locks
		ask(t, other, "try exclusive", "ok")
	})
}

// TestConversionInOneProcess: a shared lock becomes exclusive only when no other
// descriptor of this process shares it.
func TestConversionInOneProcess(t *testing.T) {
	overMechanisms(t, func(t *testing.T, m oslock.Mechanism) {
		path := newFile(t)
		a, b, other := open(t, path), open(t, path), start(t, m, path)
		must(t, oslock.Try(a.Fd(), m, oslock.Shared))
		must(t, oslock.Try(b.Fd(), m, oslock.Shared))
		mustBeLocked(t, oslock.Try(a.Fd(), m, oslock.Exclusive))
		ask(t, other, "try exclusive", "locked")
		must(t, oslock.Unlock(a.Fd(), m))
		must(t, oslock.Try(b.Fd(), m, oslock.Exclusive))
		ask(t, other, "try shared", "locked")
	})
}

// TestReadOnlyDescriptor: fcntl(2) wants a descriptor open for writing for an
// exclusive lock, and answers EBADF, which callers must be able to tell;
// flock(2) does not care.
func TestReadOnlyDescriptor(t *testing.T) {
	overMechanisms(t, func(t *testing.T, m oslock.Mechanism) {
		f, err := os.Open(newFile(t))
		must(t, err)
		defer f.Close() //nolint:errcheck // nothing was written
		err = oslock.Try(f.Fd(), m, oslock.Exclusive)
		if m == oslock.Flock {
			must(t, err)
		} else if !errors.Is(err, syscall.EBADF) {
			t.Errorf("exclusive: %v", err)
		}
		must(t, oslock.Try(f.Fd(), m, oslock.Shared))
	})
}

// TestDirectory: what is open for reading can be a directory.
func TestDirectory(t *testing.T) {
	overMechanisms(t, func(t *testing.T, m oslock.Mechanism) {
		dir := t.TempDir()
		f, err := os.Open(dir)
		must(t, err)
		defer f.Close() //nolint:errcheck // nothing was written
		must(t, oslock.Try(f.Fd(), m, oslock.Shared))
		if m != oslock.Flock {
			return
		}
		g, err := os.Open(dir)
		must(t, err)
		defer g.Close() //nolint:errcheck // nothing was written
		mustBeLocked(t, oslock.Try(g.Fd(), m, oslock.Exclusive))
	})
}
