package portalocker

import (
	"context"
	"os"
)

// TemporaryFileLock is a lock whose file exists only while it is held or waited
// for. Releasing it unlinks the file, and every acquirer makes sure that the file
// it locked is still the one that the path names.
//
// To remove the file by hand breaks the lock: who comes then makes a new file,
// and holds that one beside the present holder.
//
// It is safe for goroutines in the way of Lock.
type TemporaryFileLock struct{ lock *Lock }

// NewTemporaryFileLock makes a TemporaryFileLock on path, ".lock" if that is
// empty. See New; in difference to it, a lock that is held makes Acquire fail at
// once (see WithFailWhenLocked), the path must be a regular file if it exists,
// and a symlink in its last component is not followed but an error, as such
// files often lie in directories where others can write.
func NewTemporaryFileLock(path string, opts ...Option) *TemporaryFileLock {
	if path == "" {
		path = ".lock"
	}
	return &TemporaryFileLock{newUnlinkedLock(newTarget(path), opts)}
}

func newUnlinkedLock(t target, opts []Option) *Lock {
	t.private, t.unlinked = true, true
	s := defaults(nil)
	s.failWhenLocked = true
	s.apply(opts)
	return newLock(t, s)
}

// Acquire opens the file and takes the lock; see Lock.Acquire. A path that keeps
// being replaced by other programs ends in an ErrAlreadyLocked that says so.
func (l *TemporaryFileLock) Acquire(ctx context.Context, opts ...Option) (*os.File, error) {
	return l.lock.Acquire(ctx, opts...)
}

// Release unlinks, unlocks and closes the file; on Windows, where an open file
// cannot be unlinked, that comes last. The file stays where it is if others share
// the lock, or if somebody has replaced it. See Lock.Release.
func (l *TemporaryFileLock) Release() error { return l.lock.Release() }

// Do acquires the lock, runs fn, and releases the lock; see Lock.Do.
func (l *TemporaryFileLock) Do(ctx context.Context, fn func(ctx context.Context) error) error {
	return l.lock.Do(ctx, fn)
}
