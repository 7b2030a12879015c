package portalocker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/portalocker/portalocker/internal/oslock"
)

const (
	// giveWay is how long a waiter leaves the lock to each waiter before it, once
	// the lock may be free. It is far more than a wake-up takes, and all that a
	// stopped process at the head of the queue can cost the others.
	giveWay = 500 * time.Microsecond

	// lookEvery bounds how often one lock that is taken again and again looks
	// whether other processes queue for it: a system call that matters to a lock
	// of a few microseconds, while a waiter does not notice this delay.
	lookEvery = 200 * time.Microsecond

	// firstPause is the first pause of a wait that goes by the clock.
	firstPause = time.Millisecond

	// replacedLimit is how often a single try starts over because the path was
	// replaced between its open and its lock.
	replacedLimit = 100
)

// errReplaced says that the file that was opened is not the path's file any more.
var errReplaced = errors.New("the file was replaced")

// acquisition is one Acquire on its way from the path to the hold.
type acquisition struct {
	*target
	*settings
	known   *knowledge
	started time.Time
	end     time.Time // of the timeout; zero for never
	timer   *time.Timer
}

// knowledge is what a lock remembers of its path from one acquisition to the
// next. Only the acquisition that has the lock's gate uses it.
type knowledge struct {
	vetted bool      // what lay at the path was fit to be opened
	dev    uint64    // the device that local speaks of
	local  bool      // tickets mean something there
	looked time.Time // when other processes' tickets were last looked for
}

// hold is a lock that is held: an open file, the system's lock on it, and the
// place among the holders of this process.
type hold struct {
	*target
	file      *os.File
	conn      syscall.RawConn
	id        fileID
	mechanism oslock.Mechanism
	place     *place
}

func newAcquisition(t *target, s *settings, known *knowledge) *acquisition {
	a := &acquisition{target: t, settings: s, known: known, started: time.Now()}
	if s.timeout < Forever/2 { // what is longer would overflow the sum
		a.end = a.started.Add(s.timeout)
	}
	return a
}

// check reports what makes this acquisition senseless before it begins.
func (a *acquisition) check(ctx context.Context) error {
	err := a.target.err
	if err == nil {
		err = a.settings.err
	}
	if err == nil && ctx.Err() != nil {
		err = endOf(ctx)
	}
	if err != nil {
		return &LockError{Op: "acquire", Path: a.name, Err: err}
	}
	return nil
}

// run opens the file and takes the lock. Whatever fails, nothing stays open or
// locked.
func (a *acquisition) run(ctx context.Context) (*hold, error) {
	h := &hold{target: a.target, mechanism: a.mechanism}
	if err := a.openFor(h); err != nil {
		return nil, err
	}
	h.place = enter(lineKey{a.path, a.mechanism}, a.lockMode)
	err := a.take(ctx, h)
	for opened := 1; err != nil && a.worthReopening(err, opened); opened++ {
		// The place in this process's line is kept; the file is exchanged.
		if err = oslock.Close(h.file, h.mechanism); err == nil {
			err = a.openFor(h)
		}
		if err != nil {
			h.place.leave()
			return nil, err
		}
		err = a.take(ctx, h)
	}
	if err == nil && a.access.truncate {
		err = h.file.Truncate(0)
	}
	if err != nil {
		return nil, errors.Join(a.explain(err, h), h.drop())
	}
	return h, nil
}

func (a *acquisition) openFor(h *hold) error {
	f, id, err := a.open(a.access, a.perm, a.known.vetted)
	a.known.vetted = err == nil
	if err != nil {
		return err
	}
	h.file, h.id = f, id
	if h.conn, err = f.SyscallConn(); err != nil {
		return errors.Join(err, f.Close())
	}
	return nil
}

// worthReopening says whether another file may be locked where this one was not.
func (a *acquisition) worthReopening(err error, opened int) bool {
	if errors.Is(err, errReplaced) {
		a.debug("lock file was replaced, starting over", "path", a.path)
		if a.onlyOnce() {
			return opened < replacedLimit
		}
		return !a.expired()
	}
	if needsOtherAccess(err) && !(a.access.read && a.access.write) {
		a.access.read, a.access.write, a.access.excl = true, true, false
		return true
	}
	return false
}

// explain makes the final error of a wait that failed.
func (a *acquisition) explain(err error, h *hold) error {
	switch {
	case errors.Is(err, errReplaced):
		return a.locked(fmt.Errorf("other programs keep replacing %s", a.path))
	case needsOtherAccess(err):
		return &LockError{Op: "acquire", Path: a.name, Err: fmt.Errorf(
			"an exclusive lock needs a file open for writing, a shared one for reading, with %s locks or over NFS: %w", a.mechanism, err)}
	}
	return err
}

// release ends the hold. While it is still held alone, finish is called, if there
// is one, and a file that goes with its lock is unlinked.
func (h *hold) release(finish func() error) error {
	var errs []error
	last := h.unlinked && h.alone()
	if last && finish != nil {
		errs = append(errs, finish())
	}
	if last && canUnlinkOpenFiles {
		errs = append(errs, os.Remove(h.path))
	}
	errs = append(errs, h.drop())
	if last && !canUnlinkOpenFiles {
		errs = append(errs, removeClosed(h.path))
	}
	return errors.Join(errs...)
}

// alone says whether the path is this holder's to unlink: it has the lock, nobody
// shares it, and the path still names the locked file. Who has unlocked or closed
// the file by hand, or shares the lock, must leave the path to the others.
func (h *hold) alone() bool {
	if h.mechanism == oslock.LockFileEx {
		return h.place.mode == oslock.Exclusive // it cannot be converted, nor the file be replaced
	}
	err := control(h.conn, func(fd uintptr) error { return oslock.Try(fd, h.mechanism, oslock.Exclusive) })
	if err != nil {
		return false
	}
	same, err := h.names(h.id)
	return err == nil && same
}

// drop gives back whatever h has: the lock, the place and the file. It unlocks
// before it closes, since a child between fork and exec has a copy of the
// descriptor, and its lock, for a moment longer.
func (h *hold) drop() error {
	var unlockErr error
	if h.place.held() {
		unlockErr = h.unlock()
	}
	h.place.leave()
	return errors.Join(unlockErr, oslock.Close(h.file, h.mechanism))
}

func (h *hold) unlock() error {
	return control(h.conn, func(fd uintptr) error { return oslock.Unlock(fd, h.mechanism) })
}

// locked is the error of an acquisition that ended while somebody else had the
// lock: at once, by the timeout, or by what ended says.
func (a *acquisition) locked(ended error) *LockError {
	err := &LockError{Op: "acquire", Path: a.name, Err: ErrAlreadyLocked, ended: ended}
	if !a.onlyOnce() {
		err.Waited = time.Since(a.started)
	}
	return err
}

func (a *acquisition) expired() bool { return !a.end.IsZero() && !time.Now().Before(a.end) }

// endOf is why the context ended: its error and, where that says more, its cause.
func endOf(ctx context.Context) error {
	if cause := context.Cause(ctx); !errors.Is(cause, ctx.Err()) {
		return fmt.Errorf("%w: %w", ctx.Err(), cause)
	} else {
		return cause
	}
}
