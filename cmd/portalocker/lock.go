package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/portalocker/portalocker"
)

// lock is a lock as this program holds it for a command. A new kind is a new type
// and a new case in newLock.
type lock interface {
	// acquire waits as long as timeout says; 0 tries once.
	acquire(ctx context.Context, timeout time.Duration) error

	// file is what a command inherits so that it holds the lock too, nil where
	// there is nothing of the kind. It is open while the lock is held.
	file() *os.File

	// environment is what the command learns of the lock, as KEY=value.
	environment() []string

	// files are what those who hold the lock have locked, or any of them; nil where
	// that is no file.
	files() []string

	// release is called once, after acquire.
	release() error
}

// newLock chooses the kind of lock.
func newLock(o *runOptions) (lock, error) {
	switch {
	case o.pywire:
		return newPywireLock(o)
	case o.redis.given:
		return newRedisLock(o)
	}
	flags := portalocker.Exclusive
	if o.shared {
		flags = portalocker.Shared
	}
	opts := []portalocker.Option{
		portalocker.WithFlags(flags),
		portalocker.WithMechanism(portalocker.Mechanism(o.mechanism)),
		portalocker.WithFailWhenLocked(false), // the temporary and the PID kind begin with true
	}
	if o.slots > 0 {
		if o.directory != "" {
			opts = append(opts, portalocker.WithDirectory(o.directory))
		}
		return &slotLock{semaphore: portalocker.NewNamedBoundedSemaphore(int(o.slots), o.lock, opts...)}, nil
	}
	path := portalocker.New(o.lock).Path() // all kinds resolve it so
	switch {
	case o.pid:
		return &pidLock{path: path, lock: portalocker.NewPIDFileLock(o.lock, opts...)}, nil
	case o.temp:
		return &fileLock{path: path, lock: portalocker.NewTemporaryFileLock(o.lock, opts...), modes: []portalocker.Mode{"a"}}, nil
	default:
		return &fileLock{path: path, lock: portalocker.New(o.lock, opts...), modes: []portalocker.Mode{"r", "a"}}, nil
	}
}

// fileLock is a lock whose open file the command inherits.
type fileLock struct {
	path string
	lock interface {
		Acquire(ctx context.Context, opts ...portalocker.Option) (*os.File, error)
		Release() error
	}
	held *os.File

	// modes are the ways to open the file; if one fails the next is tried. A file
	// that is there is best opened for reading only, as flock(1) does: so a file
	// that only others may write can be locked, and a script can lock itself, which
	// execve(2) would refuse to run while it is open for writing (ETXTBSY).
	modes []portalocker.Mode
}

func (l *fileLock) acquire(ctx context.Context, timeout time.Duration) (err error) {
	for _, mode := range l.modes {
		l.held, err = l.lock.Acquire(ctx, portalocker.WithMode(mode), portalocker.WithTimeout(timeout))
		if err == nil || !otherModeMayDo(err) {
			return err
		}
	}
	return err
}

func (l *fileLock) file() *os.File { return l.held }

func (l *fileLock) environment() []string { return []string{"PORTALOCKER_LOCK=" + l.path} }

func (l *fileLock) files() []string { return []string{l.path} }

func (l *fileLock) release() error { return l.lock.Release() }

// pidLock is a lock with a PID file, which holds the PID of this program: it is
// written before there is a command, and a signal sent to it reaches the command.
type pidLock struct {
	path string
	lock *portalocker.PIDFileLock
}

func (l *pidLock) acquire(ctx context.Context, timeout time.Duration) error {
	return l.lock.Acquire(ctx, portalocker.WithTimeout(timeout))
}

func (l *pidLock) file() *os.File { return l.lock.File() }

func (l *pidLock) environment() []string { return []string{"PORTALOCKER_LOCK=" + l.path} }

func (l *pidLock) files() []string { return []string{l.path + ".lock"} }

func (l *pidLock) release() error { return l.lock.Release() }

// slotLock is a slot of a semaphore.
type slotLock struct {
	semaphore *portalocker.NamedBoundedSemaphore
	slot      *portalocker.Lock
}

func (l *slotLock) acquire(ctx context.Context, timeout time.Duration) (err error) {
	l.slot, err = l.semaphore.Acquire(ctx, portalocker.WithTimeout(timeout))
	return err
}

func (l *slotLock) file() *os.File { return l.slot.File() }

func (l *slotLock) environment() []string { return []string{"PORTALOCKER_LOCK=" + l.slot.Path()} }

func (l *slotLock) files() []string { return l.semaphore.Filenames() }

func (l *slotLock) release() error { return l.slot.Release() }

// otherModeMayDo: the file is not there yet, or may be opened in one way only.
func otherModeMayDo(err error) bool {
	var path *fs.PathError
	return errors.As(err, &path) && path.Op == "open" &&
		(errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission))
}
