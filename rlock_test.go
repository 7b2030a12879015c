package portalocker_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
)

// mustNotHold fails unless the error says that there is nothing to release.
func mustNotHold(t *testing.T, err error) {
	t.Helper()
	mustSay(t, err, "not held")
	if !errors.Is(err, portalocker.ErrNotHeld) || !errors.Is(err, portalocker.ErrLock) || errors.Is(err, portalocker.ErrAlreadyLocked) {
		t.Errorf("%v is not %v", err, portalocker.ErrNotHeld)
	}
}

// TestRLockCounts: the last of as many releases frees the lock, and no other.
func TestRLockCounts(t *testing.T) {
	dir := testproc.Folder(t)
	path := filepath.Join(dir, "x")
	l := portalocker.NewRLock(path)
	other := portalocker.New(path, portalocker.WithTimeout(0))
	mustNotHold(t, l.Release())
	for depth := 1; depth <= 5; depth++ {
		first, err := l.Acquire(t.Context())
		must(t, err)
		for range depth - 1 {
			again, err := l.Acquire(t.Context())
			must(t, err)
			if again != first {
				t.Error("another file than the first time")
			}
		}
		for range depth {
			_, err := other.Acquire(t.Context())
			mustBeLocked(t, err)
			if _, err := first.Stat(); err != nil {
				t.Errorf("the file before the last release: %v", err)
			}
			must(t, l.Release())
		}
		mustNotHold(t, l.Release())
		nothingOpen(t, dir)
		isFree(t, "lock", path)
	}
}

// TestRLockTooManyReleases do not take the count below zero.
func TestRLockTooManyReleases(t *testing.T) {
	path := filepath.Join(testproc.Folder(t), "x")
	l := portalocker.NewRLock(path)
	for range 3 {
		mustNotHold(t, l.Release())
	}
	_, err := l.Acquire(t.Context())
	must(t, err)
	_, err = portalocker.New(path, portalocker.WithTimeout(0)).Acquire(t.Context())
	mustBeLocked(t, err)
	must(t, l.Release())
	isFree(t, "lock", path)
}

// TestRLockInstances count each for itself, and exclude each other.
func TestRLockInstances(t *testing.T) {
	path := filepath.Join(testproc.Folder(t), "x")
	a := portalocker.NewRLock(path)
	b := portalocker.NewRLock(path, portalocker.WithTimeout(0))
	for range 2 {
		_, err := a.Acquire(t.Context())
		must(t, err)
	}
	_, err := b.Acquire(t.Context())
	mustBeLocked(t, err)
	mustNotHold(t, b.Release())
	must(t, a.Release())
	_, err = b.Acquire(t.Context())
	mustBeLocked(t, err)
	must(t, a.Release())
	_, err = b.Acquire(t.Context())
	must(t, err)
	must(t, b.Release())
}

// TestRLockGoroutines: the count is the instance's, whichever goroutine counts up
// or down, and stays right when all do at once.
func TestRLockGoroutines(t *testing.T) {
	dir := testproc.Folder(t)
	path := filepath.Join(dir, "x")
	l := portalocker.NewRLock(path)
	other := portalocker.New(path, portalocker.WithTimeout(0))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				f, err := l.Acquire(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := f.Stat(); err != nil {
					t.Errorf("the file of a holder: %v", err)
				}
				if _, err := other.Acquire(t.Context()); !errors.Is(err, portalocker.ErrAlreadyLocked) {
					t.Errorf("another lock beside a holder: %v", err)
					_ = other.Release()
				}
				if err := l.Release(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	mustNotHold(t, l.Release())
	isFree(t, "lock", path)
	nothingOpen(t, dir)

	_, err := l.Acquire(t.Context())
	must(t, err)
	done := make(chan error)
	go func() { done <- l.Release() }() // not by the goroutine that acquired
	must(t, <-done)
	isFree(t, "lock", path)
}

// TestRLockWaitsTogether: goroutines that acquire an instance while one of them
// waits for the file all get it when that one does.
func TestRLockWaitsTogether(t *testing.T) {
	path := filepath.Join(testproc.Folder(t), "x")
	other := holder(t, "lock", path)
	l := portalocker.NewRLock(path, waits...)
	var wg sync.WaitGroup
	all := make(chan struct{}, 8)
	for range 8 {
		wg.Go(func() {
			if _, err := l.Acquire(t.Context()); err != nil {
				t.Error(err)
			}
			all <- struct{}{}
		})
	}
	other.Say("release")
	other.Expect("ok")
	for range 8 {
		<-all // all of them hold it before anybody releases
	}
	wg.Wait()
	for range 8 {
		must(t, l.Release())
	}
	mustNotHold(t, l.Release())
}

// TestRLockFailedAcquire does not count.
func TestRLockFailedAcquire(t *testing.T) {
	path := filepath.Join(testproc.Folder(t), "x")
	holding := portalocker.New(path)
	_, err := holding.Acquire(t.Context())
	must(t, err)
	l := portalocker.NewRLock(path, portalocker.WithTimeout(0))
	for range 3 {
		_, err := l.Acquire(t.Context())
		mustBeLocked(t, err)
	}
	mustNotHold(t, l.Release())
	must(t, holding.Release())
	_, err = l.Acquire(t.Context())
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Acquire(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
	must(t, l.Release())
	mustNotHold(t, l.Release())
}

// TestRLockOptions: who asks for something else than what is held gets an error
// and not a count; what does not matter to a lock that is held, does not.
func TestRLockOptions(t *testing.T) {
	type option = portalocker.Option
	for _, test := range []struct {
		name        string
		first, then option
		counts      bool
	}{
		{"exclusive, shared", portalocker.WithFlags(portalocker.Exclusive), portalocker.WithFlags(portalocker.Shared), false},
		{"shared, exclusive", portalocker.WithFlags(portalocker.Shared), portalocker.WithFlags(portalocker.Exclusive), false},
		{"a, w", portalocker.WithMode("a"), portalocker.WithMode("w"), false},
		{"a, r", portalocker.WithMode("a"), portalocker.WithMode("r"), false},
		{"another mechanism", portalocker.WithMechanism(portalocker.Flock), portalocker.WithMechanism(portalocker.POSIX), false},
		{"a, ab", portalocker.WithMode("a"), portalocker.WithMode("ab"), true},
		{"w+b, wb+", portalocker.WithMode("w+b"), portalocker.WithMode("wb+"), true},
		{"non-blocking", portalocker.WithFlags(portalocker.Exclusive), portalocker.WithFlags(portalocker.Exclusive | portalocker.NonBlocking), true},
		{"single try", portalocker.WithTimeout(1e9), portalocker.WithTimeout(0), true},
		{"fail when locked", portalocker.WithFailWhenLocked(false), portalocker.WithFailWhenLocked(true), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(testproc.Folder(t), "x")
			l := portalocker.NewRLock(path)
			_, err := l.Acquire(t.Context(), test.first)
			if errors.Is(err, portalocker.ErrUnsupported) {
				t.Skip(err)
			}
			must(t, err)
			_, err = l.Acquire(t.Context(), test.then)
			if test.counts {
				must(t, err)
				must(t, l.Release())
			} else {
				mustSay(t, err, fmt.Sprintf("acquire %s: held already", path))
				if !errors.Is(err, portalocker.ErrLock) || errors.Is(err, portalocker.ErrAlreadyLocked) {
					t.Errorf("%v would be waited for", err)
				}
				if err == nil {
					must(t, l.Release())
				}
			}
			must(t, l.Release())
			mustNotHold(t, l.Release())

			// Free again, it can be held in the other way.
			_, err = l.Acquire(t.Context(), test.then)
			if !errors.Is(err, portalocker.ErrUnsupported) {
				must(t, err)
				must(t, l.Release())
			}
		})
	}
}

// TestRLockDo nests, in itself and in Acquire.
func TestRLockDo(t *testing.T) {
	path := filepath.Join(testproc.Folder(t), "x")
	l := portalocker.NewRLock(path)
	other := portalocker.New(path, portalocker.WithTimeout(0))
	depth := 0
	var nest func(ctx context.Context) error
	nest = func(ctx context.Context) error {
		if depth++; depth < 5 {
			if err := l.Do(ctx, nest); err != nil {
				return err
			}
		}
		_, err := other.Acquire(ctx)
		mustBeLocked(t, err)
		return nil
	}
	must(t, l.Do(t.Context(), nest))
	mustNotHold(t, l.Release())
	isFree(t, "lock", path)
	if depth != 5 {
		t.Errorf("depth %d", depth)
	}
}
