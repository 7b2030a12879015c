package portalocker_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
)

var _ = []portalocker.Locker{
	(*portalocker.Lock)(nil), (*portalocker.RLock)(nil), (*portalocker.TemporaryFileLock)(nil), (*portalocker.PIDFileLock)(nil),
}

// exclusiveKinds are those of which one instance excludes goroutines.
var exclusiveKinds = []string{"lock", "temporary", "pid"}

// waits are the options of a lock that waits for as long as it takes.
var waits = []portalocker.Option{portalocker.WithTimeout(portalocker.Forever), portalocker.WithFailWhenLocked(false)}

// acquireFunc is what newLock gives.
type acquireFunc = func(context.Context, ...portalocker.Option) error

func init() { roles["forget"] = forgetRole }

// TestOneInstance is shared by many goroutines, which count without any other
// lock, so that the race detector watches too.
func TestOneInstance(t *testing.T) {
	for _, kind := range exclusiveKinds {
		t.Run(kind, func(t *testing.T) {
			l, acquire := newLock(kind, filepath.Join(testproc.Folder(t), "x"), waits...)
			crowd(t, func(int) (func() error, acquireFunc) { return l.Release, acquire })
		})
	}
}

// TestManyInstances on one path exclude each other as one does.
func TestManyInstances(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			path := filepath.Join(testproc.Folder(t), "x")
			crowd(t, func(int) (func() error, acquireFunc) {
				l, acquire := newLock(kind, path, waits...)
				return l.Release, acquire
			})
		})
	}
}

// crowd lets goroutines lock, count and release, each with the lock it is given.
func crowd(t *testing.T, lock func(n int) (func() error, acquireFunc)) {
	t.Helper()
	const goroutines, turns = 8, 50
	count := 0
	var inside atomic.Int32
	var wg sync.WaitGroup
	for n := range goroutines {
		release, acquire := lock(n)
		wg.Go(func() {
			for range turns {
				if err := acquire(t.Context()); err != nil {
					t.Error(err)
					return
				}
				if inside.Add(1) != 1 {
					t.Error("two holders at once")
				}
				count++
				inside.Add(-1)
				if err := release(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if count != goroutines*turns {
		t.Errorf("%d turns, not %d", count, goroutines*turns)
	}
}

// TestAcquireWhileHeld waits as a mutex does, also the holder itself, and is
// never a second hold.
func TestAcquireWhileHeld(t *testing.T) {
	for _, kind := range exclusiveKinds {
		t.Run(kind, func(t *testing.T) {
			l, acquire := newLock(kind, filepath.Join(testproc.Folder(t), "x"), waits...)
			must(t, acquire(t.Context()))
			mustBeLocked(t, acquire(t.Context(), portalocker.WithTimeout(0)))
			mustBeLocked(t, acquire(t.Context(), portalocker.WithFailWhenLocked(true)))
			mustBeLocked(t, acquire(t.Context(), portalocker.WithTimeout(1)))
			mustBeLocked(t, acquire(t.Context(), portalocker.WithTimeout(0), portalocker.WithFlags(portalocker.Exclusive|portalocker.NonBlocking)))

			released := false // the lock orders the accesses
			got := make(chan error, 1)
			go func() {
				err := acquire(t.Context())
				if err == nil && !released {
					err = errors.New("it was handed out twice")
				}
				got <- err
			}()
			released = true
			must(t, l.Release())
			must(t, <-got)
			must(t, l.Release())
		})
	}
}

// TestReleaseWhatIsNotHeld does nothing, however often, and leaves the holder's
// lock alone.
func TestReleaseWhatIsNotHeld(t *testing.T) {
	for _, kind := range exclusiveKinds {
		t.Run(kind, func(t *testing.T) {
			dir := testproc.Folder(t)
			path := filepath.Join(dir, "x")
			l, acquire := newLock(kind, path, portalocker.WithTimeout(0))
			must(t, l.Release())
			unchanged(t, dir, nil)

			holding, take := newLock(kind, path)
			must(t, take(t.Context()))
			mustBeLocked(t, acquire(t.Context()))
			must(t, l.Release())
			mustBeLocked(t, acquire(t.Context()))
			must(t, holding.Release())
			must(t, holding.Release())
			must(t, acquire(t.Context()))
			must(t, l.Release())
			must(t, l.Release())
			nothingOpen(t, dir)
		})
	}
}

// TestManyReleases at once release once, and the lock lives on.
func TestManyReleases(t *testing.T) {
	for _, kind := range exclusiveKinds {
		t.Run(kind, func(t *testing.T) {
			path := filepath.Join(testproc.Folder(t), "x")
			l, acquire := newLock(kind, path, portalocker.WithTimeout(0))
			for range 10 {
				must(t, acquire(t.Context()))
				var wg sync.WaitGroup
				start := make(chan struct{})
				for range 100 {
					wg.Go(func() {
						<-start
						if err := l.Release(); err != nil {
							t.Error(err)
						}
					})
				}
				close(start)
				wg.Wait()
				isFree(t, kind, path)
			}
			must(t, acquire(t.Context()))
			mustBeLocked(t, acquire(t.Context()))
			must(t, l.Release())
		})
	}
}

// TestDo runs what it is given while the lock is held, with the caller's context,
// and gives back its error and the lock.
func TestDo(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			dir := testproc.Folder(t)
			path := filepath.Join(dir, "x")
			l, _ := newLock(kind, path)
			_, other := newLock(kind, path, portalocker.WithTimeout(0))
			type key struct{}
			ctx := context.WithValue(t.Context(), key{}, "value")
			held := func(ctx context.Context) {
				t.Helper()
				if ctx.Value(key{}) != "value" {
					t.Error("the context is another one")
				}
				mustBeLocked(t, other(t.Context()))
			}

			must(t, l.Do(ctx, func(ctx context.Context) error { held(ctx); return nil }))
			isFree(t, kind, path)

			failure := errors.New("failure")
			if err := l.Do(ctx, func(ctx context.Context) error { held(ctx); return failure }); err != failure {
				t.Errorf("it returns %v", err)
			}
			isFree(t, kind, path)

			func() {
				defer func() {
					if r := recover(); r != "panic" {
						t.Errorf("the panic is %v", r)
					}
				}()
				_ = l.Do(ctx, func(ctx context.Context) error { held(ctx); panic("panic") })
			}()
			isFree(t, kind, path)

			done := make(chan bool)
			go func() {
				defer close(done)
				_ = l.Do(ctx, func(context.Context) error { runtime.Goexit(); return nil })
				t.Error("the goroutine lives on")
			}()
			<-done
			isFree(t, kind, path)
			nothingOpen(t, dir)
		})
	}
}

// TestDoWithoutTheLock does not run anything.
func TestDoWithoutTheLock(t *testing.T) {
	for _, kind := range kinds {
		path := filepath.Join(testproc.Folder(t), "x")
		holding, take := newLock(kind, path)
		must(t, take(t.Context()))
		l, _ := newLock(kind, path, portalocker.WithTimeout(0))
		mustBeLocked(t, l.Do(t.Context(), func(context.Context) error { t.Error("it ran"); return nil }))
		must(t, holding.Release())
	}
}

// TestDoJoinsErrors: what the function and the release report are both there.
func TestDoJoinsErrors(t *testing.T) {
	path := filepath.Join(testproc.Folder(t), "x")
	l := portalocker.NewPIDFileLock(path)
	failure := errors.New("failure")
	err := l.Do(t.Context(), func(context.Context) error {
		// A PID file that cannot be removed.
		must(t, os.Remove(path))
		must(t, os.MkdirAll(filepath.Join(path, "full"), 0o700))
		return failure
	})
	releaseErr, ok := errors.AsType[*portalocker.LockError](err)
	if !errors.Is(err, failure) || !ok || releaseErr.Op != "release" {
		t.Errorf("got %v", err)
	}
	isFree(t, "lock", path+".lock")
}

// TestShared: holders share, and exclude those that want to be alone.
func TestShared(t *testing.T) {
	for _, kind := range []string{"lock", "rlock", "temporary"} {
		t.Run(kind, func(t *testing.T) {
			dir := testproc.Folder(t)
			path := filepath.Join(dir, "x")
			shared := portalocker.WithFlags(portalocker.Shared)
			a, acquireA := newLock(kind, path, shared, portalocker.WithTimeout(0))
			b, acquireB := newLock(kind, path, shared, portalocker.WithTimeout(0))
			c, acquireC := newLock(kind, path, portalocker.WithTimeout(0))
			must(t, acquireA(t.Context()))
			must(t, acquireB(t.Context()))
			mustBeLocked(t, acquireC(t.Context()))
			must(t, a.Release())
			mustBeLocked(t, acquireC(t.Context()))
			must(t, b.Release())
			must(t, acquireC(t.Context()))
			mustBeLocked(t, acquireA(t.Context()))
			must(t, c.Release())
			nothingOpen(t, dir)
		})
	}
}

// TestChangeOfDirectory: a relative path means what it meant when the lock was
// made, also for what Release removes.
func TestChangeOfDirectory(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			first, second := testproc.Folder(t), testproc.Folder(t)
			for _, name := range []string{"x", "x.lock"} {
				must(t, os.WriteFile(filepath.Join(second, name), []byte("somebody else's"), 0o600))
			}
			before := snapshot(t, second)
			t.Chdir(first)
			l, acquire := newLock(kind, "x")
			t.Chdir(second)
			must(t, acquire(t.Context()))
			if _, err := os.Lstat(filepath.Join(first, "x")); err != nil {
				t.Error(err)
			}
			must(t, l.Release())
			must(t, acquire(t.Context()))
			t.Chdir(first)
			must(t, l.Release())
			unchanged(t, second, before)
			_, err := os.Lstat(filepath.Join(first, "x"))
			if stays := kind == "lock" || kind == "rlock"; stays != (err == nil) || !stays && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("after the release: %v", err)
			}
		})
	}
}

// TestClosedFile: the user has closed the file, which is the holder's to use and
// not to close. Release says so, and all goes on.
func TestClosedFile(t *testing.T) {
	for _, m := range []portalocker.Mechanism{portalocker.Flock, portalocker.OFD, portalocker.POSIX, portalocker.LockFileEx} {
		for _, kind := range []string{"lock", "rlock", "temporary"} {
			t.Run(fmt.Sprint(kind, " ", m), func(t *testing.T) {
				dir := testproc.Folder(t)
				path := filepath.Join(dir, "x")
				must(t, os.WriteFile(path, []byte("precious"), 0o600))
				l, acquire := fileLock(kind, path, portalocker.WithMechanism(m), portalocker.WithTimeout(0))
				f, err := acquire(t.Context())
				if errors.Is(err, portalocker.ErrUnsupported) {
					t.Skip(err)
				}
				must(t, err)
				must(t, f.Close())
				// Most likely this gets the descriptor's number.
				same, err := os.Open(path)
				must(t, err)
				defer same.Close() //nolint:errcheck // nothing was written
				err = inTime(t, l.Release)
				mustSay(t, err, "release "+path)
				if !errors.Is(err, os.ErrClosed) || !errors.Is(err, portalocker.ErrLock) {
					t.Errorf("%v is not %v", err, os.ErrClosed)
				}
				other, acquireOther := fileLock(kind, path, portalocker.WithMechanism(m), portalocker.WithTimeout(0))
				if _, err := acquireOther(t.Context()); err != nil {
					t.Errorf("another instance: %v", err)
				} else {
					must(t, other.Release())
				}
				must(t, same.Close())
				_, err = acquire(t.Context(), portalocker.WithMode("w")) // which makes a temporary one again
				must(t, err)
				must(t, l.Release())
				nothingOpen(t, dir)
			})
		}
	}
}

// fileLock is newLock for the kinds that hand out a file.
func fileLock(kind, path string, opts ...portalocker.Option) (anyLock, func(context.Context, ...portalocker.Option) (*os.File, error)) {
	switch kind {
	case "lock":
		l := portalocker.New(path, opts...)
		return l, l.Acquire
	case "rlock":
		l := portalocker.NewRLock(path, opts...)
		return l, l.Acquire
	}
	l := portalocker.NewTemporaryFileLock(path, opts...)
	return l, l.Acquire
}

// forgetRole takes a lock of a kind on a path, forgets it, and goes on.
func forgetRole(p *testproc.Peer, args []string) error {
	err := func() error {
		_, acquire := newLock(args[0], args[1])
		return acquire(context.Background())
	}()
	if err != nil {
		return err
	}
	for range 10 {
		runtime.GC()
	}
	p.Say("ok")
	_, _ = p.Hear()
	return nil
}

// TestHeldWithoutReference: a lock is held also when the program has forgotten it, as
// one that wants to be alone for as long as it runs well may.
func TestHeldWithoutReference(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			path := filepath.Join(testproc.Folder(t), "x.lock")
			p := testproc.Start(t, "forget", kind, path)
			p.Expect("ok")
			_, acquire := newLock(kind, path, portalocker.WithTimeout(0))
			mustBeLocked(t, acquire(t.Context()))
			must(t, p.Wait())
			isFree(t, kind, path)
		})
	}
}
