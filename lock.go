package portalocker

import (
	"context"
	"os"
	"sync"
)

// Lock is a lock on a file that lives on when the lock is released.
//
// A Lock is safe for goroutines, and works among them as among processes: to
// acquire one that is held waits, as a mutex would, also when the same goroutine
// holds it. Two Locks on one path exclude each other too. One that is held stays so
// when the program has no reference to it any more, until the process ends.
type Lock struct {
	target   target
	settings settings
	gate     chan struct{} // has one element from the begin of an acquisition to the end of the release
	known    knowledge     // belongs to who has the gate

	mu       sync.Mutex
	held     *hold  // nil while not held
	released func() // to be told of the release, once; nil but for the slot of a semaphore
}

// New makes a Lock on path. A relative path is resolved now: a later change of
// the working directory does not touch the lock. Nothing is opened before
// Acquire, which also reports bad options. The default is an exclusive lock on a
// file opened in mode "a", waited for for DefaultTimeout.
func New(path string, opts ...Option) *Lock {
	return newLock(newTarget(path), defaults(opts))
}

func newLock(t target, s settings) *Lock {
	return &Lock{target: t, settings: s, gate: make(chan struct{}, 1)}
}

// Acquire opens the file and takes the lock; options given here hold for this
// call. It waits until the timeout or until ctx ends, whichever is first, and
// not at all with a timeout of 0 or WithFailWhenLocked(true). Then, as whenever
// it fails, nothing is left open or locked.
//
// The file is for the holder to read and write; Release closes it. Where the
// path is a directory (not on Windows), so is the file.
//
// An error that concerns the lock is a *LockError, and ErrAlreadyLocked where
// somebody else has it. An error of the open is an *fs.PathError.
func (l *Lock) Acquire(ctx context.Context, opts ...Option) (*os.File, error) {
	a, err := newAcquisition(ctx, &l.target, &l.settings, opts, &l.known)
	if err != nil {
		return nil, err
	}
	return l.acquire(ctx, a, nil)
}

// acquire runs an acquisition. It calls prepare, if there is one, once the lock
// is held; if that fails, the lock is given back. After a success a is the hold's,
// and may be used for another acquisition as soon as somebody releases the lock.
func (l *Lock) acquire(ctx context.Context, a *acquisition, prepare func() error) (*os.File, error) {
	if err := a.enter(ctx, l.gate, func() bool { return l.File() != nil }); err != nil {
		return nil, err
	}
	h, err := a.run(ctx)
	a.tellOfEnd(err)
	if err == nil && prepare != nil {
		if err = prepare(); err != nil {
			err = join(err, h.release(nil))
		}
	}
	if err != nil {
		<-l.gate
		return nil, err
	}
	file := h.file // once it is known that the lock is held, somebody may release it
	l.mu.Lock()
	l.held = h
	l.mu.Unlock()
	return file, nil
}

// Release unlocks and closes the file. On a lock that is not held it does
// nothing, and of several at once one releases. It never leaves the file open or
// the lock held; the error joins all that went wrong.
func (l *Lock) Release() error { return l.release(nil) }

// release calls finish, if there is one, while the lock is still held.
func (l *Lock) release(finish func() error) error {
	l.mu.Lock()
	h, released := l.held, l.released
	l.held, l.released = nil, nil
	l.mu.Unlock()
	if h == nil {
		return nil
	}
	defer func() {
		<-l.gate
		if released != nil {
			released()
		}
	}()
	err := h.release(finish)
	h.spare()
	if err != nil {
		return &LockError{Op: "release", Path: l.target.name, Err: err}
	}
	return nil
}

// Path is the absolute path of the lock's file.
func (l *Lock) Path() string { return l.target.path }

// File is the open file that Acquire gave; nil while the lock is not held. A
// process that inherits it keeps the lock alive.
func (l *Lock) File() *os.File {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		return nil
	}
	return l.held.file
}

// Do acquires the lock, runs fn, and releases the lock, also when fn panics. It
// returns what fn and the release report, joined; if the lock is not to be had,
// fn does not run. fn gets ctx unchanged: a file lock cannot be lost.
func (l *Lock) Do(ctx context.Context, fn func(ctx context.Context) error) error {
	_, err := l.Acquire(ctx)
	return do(ctx, err, fn, l.Release)
}

// Locker is what every lock of this package and of package redislock is. A
// program that keeps to it can exchange one kind for another.
type Locker interface {
	// Do acquires the lock, runs fn, releases the lock also when fn panics, and
	// returns all their errors, joined. fn's context ends with ctx, and, where a
	// lock can be lost, with the lock.
	Do(ctx context.Context, fn func(ctx context.Context) error) error
}

// do is Do after the acquisition, whose error is acquireErr.
func do(ctx context.Context, acquireErr error, fn func(context.Context) error, release func() error) (err error) {
	if acquireErr != nil {
		return acquireErr
	}
	defer func() { err = join(err, release()) }()
	return fn(ctx)
}
