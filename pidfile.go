package portalocker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/portalocker/portalocker/internal/oslock"
)

// PIDFileLock is a lock that writes down who has it. The lock is on a file of its
// own, the PID file's name with ".lock" added, so that the PID file can be read
// and replaced while the lock is held, on Windows too. Both files exist only while
// the lock is held; a PID file that a crash left behind holds nothing.
//
// It is safe for goroutines in the way of Lock.
type PIDFileLock struct {
	lock    *Lock // on the sidecar
	pidFile target
}

// NewPIDFileLock makes a PIDFileLock whose PID file is path, ".pid" if that is
// empty. Its lock is exclusive, and, if held, makes Acquire fail at once (see
// WithFailWhenLocked). Symlinks are refused as NewTemporaryFileLock does.
func NewPIDFileLock(path string, opts ...Option) *PIDFileLock {
	if path == "" {
		path = ".pid"
	}
	pidFile := newTarget(path)
	pidFile.private = true
	sidecar := pidFile
	sidecar.path += ".lock"
	return &PIDFileLock{lock: newUnlinkedLock(sidecar, opts), pidFile: pidFile}
}

// Acquire takes the lock, then writes this process's PID, as ASCII digits without
// a newline, to the PID file, by WriteFileAtomic. If that
// fails, the lock is given back. In the error of a lock that is held, HolderPID is
// the holder's as the system tells it, or else as the PID file does; a PID file
// that is empty, broken or unreadable never hides that the lock is held.
func (l *PIDFileLock) Acquire(ctx context.Context, opts ...Option) error {
	a, err := newAcquisition(ctx, &l.lock.target, &l.lock.settings, append(opts[:len(opts):len(opts)], pidSidecar), &l.lock.known)
	if err != nil {
		return err
	}
	_, err = l.lock.acquire(ctx, a, func() error { return l.publish(a.perm) })
	if e := (*LockError)(nil); errors.As(err, &e) && e.Err == ErrAlreadyLocked && e.HolderPID == 0 {
		if pid, err := l.ReadPID(); err == nil {
			e.HolderPID, e.HolderCommand = pid, commandOf(pid)
		}
	}
	return err
}

// pidSidecar is the last option of every PID file's lock.
func pidSidecar(s *settings) {
	if s.lockMode == oslock.Shared {
		s.fail(errors.New("a PID file has one holder, so its lock cannot be shared"))
	}
	WithMode("a")(s) // the sidecar itself stays empty
}

// publish writes the PID file. The lock is held.
func (l *PIDFileLock) publish(perm fs.FileMode) error {
	if err := l.regularOrMissing(); err != nil {
		return err
	}
	pid := strconv.Itoa(os.Getpid())
	if !canUnlinkOpenFiles {
		return l.writeInPlace(pid, perm)
	}
	err := WriteFileAtomic(l.pidFile.path, []byte(pid), perm, WithReplace())
	if errors.Is(err, ErrNotDurable) {
		return nil // after a power failure the PID would mean nothing anyway
	}
	return err
}

// writeInPlace is for Windows, where a file cannot be replaced while somebody reads
// it, as all do that find the lock held. A reader may find it empty for a moment.
func (l *PIDFileLock) writeInPlace(pid string, perm fs.FileMode) error {
	f, _, err := l.pidFile.open(opening{access: access{read: true, write: true, create: true}, perm: perm})
	if err != nil {
		return err
	}
	if err = f.Truncate(0); err == nil {
		_, err = f.WriteString(pid)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (l *PIDFileLock) regularOrMissing() error {
	info, err := os.Lstat(l.pidFile.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && !info.Mode().IsRegular() {
		return errNotLockable(l.pidFile.path, info.Mode(), true)
	}
	return err
}

// maxPIDFile is more than any PID with white space around it: 64 bits are 20 digits.
const maxPIDFile = 64

// ReadPID reads the PID file, whoever wrote it. It says nothing about whether the
// lock is held. The error is fs.ErrNotExist if there is no PID file, and tells
// what is wrong with one that does not hold one PID.
func (l *PIDFileLock) ReadPID() (int, error) {
	if l.pidFile.err != nil {
		return 0, &LockError{Op: "read pid", Path: l.pidFile.name, Err: l.pidFile.err}
	}
	f, _, err := l.pidFile.open(opening{access: access{read: true}})
	if err != nil {
		return 0, err
	}
	defer f.Close() //nolint:errcheck // nothing was written
	content, err := io.ReadAll(io.LimitReader(f, maxPIDFile+1))
	if err != nil {
		return 0, err
	}
	pid, err := parsePID(content)
	if err != nil {
		return 0, &LockError{Op: "read pid", Path: l.pidFile.name, Err: err}
	}
	return pid, nil
}

func parsePID(content []byte) (int, error) {
	if len(content) > maxPIDFile {
		return 0, fmt.Errorf("the file is longer than a PID (more than %d bytes)", maxPIDFile)
	}
	digits := strings.TrimSpace(string(content))
	pid, err := strconv.ParseUint(digits, 10, 31) // neither signs nor anything else but digits
	if err != nil || pid == 0 {
		return 0, fmt.Errorf("the file holds no PID: %q", digits)
	}
	return int(pid), nil
}

// Release removes the PID file, and then releases the lock as
// TemporaryFileLock.Release does.
func (l *PIDFileLock) Release() error {
	return l.lock.release(func() error {
		if !canUnlinkOpenFiles {
			return removeClosed(l.pidFile.path) // somebody may be reading it
		}
		if err := os.Remove(l.pidFile.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}

// File is the open file that the lock is on, which is not the PID file; nil while
// the lock is not held. A process that inherits it keeps the lock alive.
func (l *PIDFileLock) File() *os.File { return l.lock.File() }

// Do acquires the lock, runs fn, and releases the lock; see Lock.Do.
func (l *PIDFileLock) Do(ctx context.Context, fn func(ctx context.Context) error) error {
	return do(ctx, l.Acquire(ctx), fn, l.Release)
}
