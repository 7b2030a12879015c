package oslock_test

import (
	"errors"
	"io"
	"math"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/portalocker/portalocker/internal/oslock"
)

// TestCompatible locks twice, by two descriptors of one process and by two
// processes, in every combination of modes.
func TestCompatible(t *testing.T) {
	names := map[oslock.Mode]string{oslock.Shared: "shared", oslock.Exclusive: "exclusive"}
	overMechanisms(t, func(t *testing.T, m oslock.Mechanism) {
		for first := range names {
			for second := range names {
				t.Run(names[first]+" "+names[second], func(t *testing.T) {
					path := newFile(t)
					a, b, other := open(t, path), open(t, path), start(t, m, path)
					must(t, oslock.Try(a.Fd(), m, first))
					err := oslock.Try(b.Fd(), m, second)
					if first == oslock.Shared && second == oslock.Shared {
						must(t, err)
						ask(t, other, "try "+names[second], "ok")
						return
					}
					mustBeLocked(t, err)
					ask(t, other, "try "+names[second], "locked")
					must(t, oslock.Unlock(a.Fd(), m))
					ask(t, other, "try "+names[second], "ok")
				})
			}
		}
	})
}

// TestUnlockWhatIsNotHeld: it is no error, and leaves the locks of others alone.
func TestUnlockWhatIsNotHeld(t *testing.T) {
	overMechanisms(t, func(t *testing.T, m oslock.Mechanism) {
		path := newFile(t)
		a, b, other := open(t, path), open(t, path), start(t, m, path)
		must(t, oslock.Unlock(a.Fd(), m))
		must(t, oslock.Try(a.Fd(), m, oslock.Exclusive))
		must(t, oslock.Unlock(b.Fd(), m))
		ask(t, other, "unlock", "ok")
		ask(t, other, "try exclusive", "locked")
		mustBeLocked(t, oslock.Try(b.Fd(), m, oslock.Exclusive))
		must(t, oslock.Unlock(a.Fd(), m))
		must(t, oslock.Unlock(a.Fd(), m))
		ask(t, other, "try exclusive", "ok")
	})
}

// TestCloseReleases: closing without unlocking gives the lock back, and closes.
func TestCloseReleases(t *testing.T) {
	overMechanisms(t, func(t *testing.T, m oslock.Mechanism) {
		path := newFile(t)
		a, other := open(t, path), start(t, m, path)
		must(t, oslock.Try(a.Fd(), m, oslock.Exclusive))
		must(t, oslock.Close(a))
		ask(t, other, "try exclusive", "ok")
		if _, err := a.Seek(0, io.SeekCurrent); !errors.Is(err, os.ErrClosed) {
			t.Errorf("after Close the file answers %v", err)
		}
	})
}

// TestBlock: Block comes back with the lock when another process unlocks, closes
// or dies, not before and not without.
func TestBlock(t *testing.T) {
	overMechanisms(t, func(t *testing.T, m oslock.Mechanism) {
		for _, end := range []string{"unlock", "end", "kill"} {
			t.Run(end, func(t *testing.T) {
				path := newFile(t)
				a, holder, waiter := open(t, path), start(t, m, path), start(t, m, path)
				ask(t, holder, "try exclusive", "ok")
				waiter.Say("block exclusive")
				waitsInKernel(t, m, a)
				switch end {
				case "unlock":
					ask(t, holder, "unlock", "ok")
				case "end":
					holder.Say("end")
				case "kill":
					holder.Kill()
				}
				waiter.Expect("ok")
				mustBeLocked(t, oslock.Try(a.Fd(), m, oslock.Shared))
			})
		}
	})
}

// TestBlockInOneProcess: two descriptors of one process wait for each other.
func TestBlockInOneProcess(t *testing.T) {
	overMechanisms(t, func(t *testing.T, m oslock.Mechanism) {
		path := newFile(t)
		a, b := open(t, path), open(t, path)
		must(t, oslock.Try(a.Fd(), m, oslock.Exclusive))
		var unlocked atomic.Bool
		got := make(chan error, 1)
		go func() {
			err := oslock.Block(b.Fd(), m, oslock.Shared)
			if err == nil && !unlocked.Load() {
				err = errors.New("two holders at once")
			}
			got <- err
		}()
		waitsInKernel(t, m, a)
		unlocked.Store(true)
		must(t, oslock.Unlock(a.Fd(), m))
		must(t, <-got)
		mustBeLocked(t, oslock.Try(a.Fd(), m, oslock.Exclusive))
	})
}

// TestBadDescriptor: a descriptor that is closed, or never was one, is an error
// of its own, and waiting does not cure it.
func TestBadDescriptor(t *testing.T) {
	overMechanisms(t, func(t *testing.T, m oslock.Mechanism) {
		f := open(t, newFile(t))
		closed := f.Fd()
		must(t, f.Close())
		for name, fd := range map[string]uintptr{"closed": closed, "far": 1 << 20, "minus one": ^uintptr(0), "32 bits": math.MaxUint32} {
			for call, err := range map[string]error{
				"try":    oslock.Try(fd, m, oslock.Exclusive),
				"block":  oslock.Block(fd, m, oslock.Shared),
				"unlock": oslock.Unlock(fd, m),
			} {
				if err == nil || errors.Is(err, oslock.ErrLocked) || errors.Is(err, errors.ErrUnsupported) {
					t.Errorf("%s with the descriptor %q: %v", call, name, err)
				}
			}
		}
	})
}

// TestUnsupported: a mechanism that the platform lacks, or that does not exist,
// is an error that names it and the platform, from every call.
func TestUnsupported(t *testing.T) {
	f := open(t, newFile(t))
	lacking := 0
	for m := oslock.Default + 1; m <= oslock.Mechanisms+1; m++ {
		_, err := oslock.Resolve(m)
		if err == nil {
			continue
		}
		lacking++
		for call, err := range map[string]error{
			"resolve": err,
			"try":     oslock.Try(f.Fd(), m, oslock.Exclusive),
			"block":   oslock.Block(f.Fd(), m, oslock.Exclusive),
			"unlock":  oslock.Unlock(f.Fd(), m),
		} {
			if !errors.Is(err, errors.ErrUnsupported) || errors.Is(err, oslock.ErrLocked) {
				t.Errorf("%s with %s: %v is not %v", call, m, err, errors.ErrUnsupported)
			} else if !strings.Contains(err.Error(), m.String()) || !strings.Contains(err.Error(), runtime.GOOS) {
				t.Errorf("%s with %s: %q names neither it nor %s", call, m, err, runtime.GOOS)
			}
		}
	}
	if lacking < 3 { // two numbers that mean nothing, and no platform has all the others
		t.Errorf("only %d mechanisms are missing here", lacking)
	}
}

// TestDefault: the default is one of the platform's mechanisms, the same in every
// call.
func TestDefault(t *testing.T) {
	available(t)
	m, err := oslock.Resolve(oslock.Default)
	must(t, err)
	want := map[string]oslock.Mechanism{
		"windows": oslock.LockFileEx, "aix": oslock.POSIX, "solaris": oslock.POSIX,
	}[runtime.GOOS]
	if want == oslock.Default {
		want = oslock.Flock
	}
	if m != want {
		t.Fatalf("the default of %s is %s, not %s", runtime.GOOS, m, want)
	}
	path := newFile(t)
	a, b := open(t, path), open(t, path)
	must(t, oslock.Try(a.Fd(), oslock.Default, oslock.Exclusive))
	mustBeLocked(t, oslock.Try(b.Fd(), m, oslock.Exclusive))
	must(t, oslock.Unlock(a.Fd(), oslock.Default))
	must(t, oslock.Block(b.Fd(), oslock.Default, oslock.Exclusive))
	must(t, oslock.Close(b))
	must(t, oslock.Try(a.Fd(), m, oslock.Exclusive))
}

// TestClose closes a file, and says so when it was closed before.
func TestClose(t *testing.T) {
	overMechanisms(t, func(t *testing.T, m oslock.Mechanism) {
		f := open(t, newFile(t))
		must(t, oslock.Close(f))
		if _, err := f.Seek(0, io.SeekCurrent); !errors.Is(err, os.ErrClosed) {
			t.Errorf("after Close the file answers %v", err)
		}
		if err := oslock.Close(f); !errors.Is(err, os.ErrClosed) {
			t.Errorf("a second Close: %v", err)
		}
	})
}
