package portalocker

import (
	"context"
	"errors"
	"os"
	"sync"

	"github.com/portalocker/portalocker/internal/oslock"
)

// RLock is a Lock that counts: acquired again, it counts up and gives the same
// file; as many releases later it is free. The count belongs to the instance,
// whichever goroutines acquire and release it, so an RLock does not exclude the
// goroutines that share it from each other.
//
// It is safe for goroutines: while one waits for the file's lock, others that
// acquire the instance wait for what comes of it.
type RLock struct {
	lock *Lock
	turn chan struct{} // has one element while an acquisition runs

	mu    sync.Mutex
	count int
	file  *os.File
	as    heldAs
}

// NewRLock makes an RLock on path; see New.
func NewRLock(path string, opts ...Option) *RLock {
	return &RLock{lock: New(path, opts...), turn: make(chan struct{}, 1)}
}

// Acquire takes the lock, or counts up if this instance has it; see Lock.Acquire.
// An instance that has the lock in another way (shared, or with its file opened in
// another mode) than the options ask for cannot count: that is an error. A single
// try (a timeout of 0) fails while another goroutine is acquiring the instance.
func (l *RLock) Acquire(ctx context.Context, opts ...Option) (*os.File, error) {
	a, err := newAcquisition(ctx, &l.lock.target, &l.lock.settings, opts, &l.lock.known)
	if err != nil {
		return nil, err
	}
	if f, err := l.again(a); f != nil || err != nil {
		return f, err
	}
	if err := a.enter(ctx, l.turn, func() bool { return l.lock.File() != nil }); err != nil {
		return nil, err
	}
	defer func() { <-l.turn }()
	if f, err := l.again(a); f != nil || err != nil {
		return f, err
	}
	f, err := l.lock.acquire(ctx, a, nil)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count, l.file, l.as = 1, f, a.asked()
	return f, nil
}

// heldAs is what must be the same for a held RLock to count.
type heldAs struct {
	lockMode  oslock.Mode
	access    access
	mechanism oslock.Mechanism
}

func (a *acquisition) asked() heldAs {
	return heldAs{a.lockMode, a.settings.access, a.mechanism}
}

// again counts up; the file is nil if the instance does not have the lock.
func (l *RLock) again(a *acquisition) (*os.File, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count == 0 {
		return nil, nil
	}
	if l.as != a.asked() {
		return nil, &LockError{Op: "acquire", Path: a.name, Err: errors.New(
			"held already with other flags, in another mode or by another mechanism, so it cannot count up with these")}
	}
	l.count++
	return l.file, nil
}

// Release counts down, and at zero unlocks and closes the file as Lock.Release
// does. One release too many is ErrNotHeld.
func (l *RLock) Release() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch l.count {
	case 0:
		return &LockError{Op: "release", Path: l.lock.target.name, Err: ErrNotHeld}
	case 1:
		l.count, l.file = 0, nil
		return l.lock.Release()
	}
	l.count--
	return nil
}

// Do acquires the lock, runs fn, and releases the lock; see Lock.Do. Inside fn,
// the instance can be acquired again.
func (l *RLock) Do(ctx context.Context, fn func(ctx context.Context) error) error {
	_, err := l.Acquire(ctx)
	return do(ctx, err, fn, l.Release)
}
