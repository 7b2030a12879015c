package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"github.com/portalocker/portalocker"
	"github.com/rogpeppe/go-internal/lockedfile"
)

// The names of those that are measured, as the table shows them.
const (
	ours       = "portalocker"
	gofrs      = "gofrs/flock"
	gofrsPolls = "gofrs/flock, polling at 10 ms"
	lockedFile = "go-internal/lockedfile"
	kernel     = "kernel-blocking flock"
)

// locker is one instance of somebody's lock on one path.
type locker interface {
	acquire(ctx context.Context) error // waits as long as it takes
	release() error
}

// open makes an instance of who's lock on path.
func open(who, path string) (locker, error) {
	switch who {
	case ours:
		return portalockerLock{portalocker.New(path, portalocker.WithTimeout(portalocker.Forever))}, nil
	case gofrs:
		return gofrsLock{flock.New(path)}, nil
	case gofrsPolls:
		return gofrsPollingLock{gofrsLock{flock.New(path)}}, nil
	case lockedFile:
		return &lockedFileLock{mutex: lockedfile.MutexAt(path)}, nil
	case sleepAlone:
		return noLock{}, nil
	case kernel:
		return &kernelLock{path: path, fd: -1}, nil
	}
	return nil, fmt.Errorf("nobody is called %q", who)
}

type portalockerLock struct{ lock *portalocker.Lock }

func (l portalockerLock) acquire(ctx context.Context) error {
	_, err := l.lock.Acquire(ctx)
	return err
}

func (l portalockerLock) release() error { return l.lock.Release() }

// gofrsLock waits in the kernel, and for good.
type gofrsLock struct{ lock *flock.Flock }

func (l gofrsLock) acquire(context.Context) error { return l.lock.Lock() }
func (l gofrsLock) release() error                { return l.lock.Unlock() }

// gofrsPollingLock waits in the way that can be cancelled.
type gofrsPollingLock struct{ gofrsLock }

func (l gofrsPollingLock) acquire(ctx context.Context) error {
	_, err := l.lock.TryLockContext(ctx, 10*time.Millisecond)
	return err
}

type lockedFileLock struct {
	mutex  *lockedfile.Mutex
	unlock func()
}

func (l *lockedFileLock) acquire(context.Context) (err error) {
	l.unlock, err = l.mutex.Lock()
	return err
}

func (l *lockedFileLock) release() error {
	l.unlock()
	return nil
}

// kernelLock is the least that can be done: open, a flock that blocks in the
// kernel, close.
type kernelLock struct {
	path string
	fd   int
}

func (l *kernelLock) acquire(context.Context) error {
	fd, err := syscall.Open(l.path, syscall.O_RDWR|syscall.O_CREAT|syscall.O_CLOEXEC, 0o666)
	if err != nil {
		return fmt.Errorf("open %s: %w", l.path, err)
	}
	for {
		err = syscall.Flock(fd, syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return errors.Join(fmt.Errorf("flock %s: %w", l.path, err), syscall.Close(fd))
	}
	l.fd = fd
	return nil
}

func (l *kernelLock) release() error { return syscall.Close(l.fd) }

type noLock struct{}

func (noLock) acquire(context.Context) error { return nil }
func (noLock) release() error                { return nil }
