package portalocker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portalocker/portalocker/internal/cause"
	"github.com/portalocker/portalocker/internal/notify"
	"github.com/portalocker/portalocker/internal/oslock"
)

const (
	// giveWay is how long a waiter leaves the lock to each waiter before it, once
	// the lock may be free. It is far more than a wake-up takes, and all that a
	// stopped process at the head of the queue can cost the others.
	giveWay = 500 * time.Microsecond

	// lookEvery bounds how often a process that locks a path again and again looks
	// what kind of file is there and whether other processes queue for it: system
	// calls that matter to a lock of a few microseconds, while nobody notices this
	// delay.
	lookEvery = time.Millisecond

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
	*settings // the lock's own, or a copy that this call's options changed
	known     *knowledge
	access    access // how to open the file
	started   time.Time
	end       time.Time // of the timeout; zero for never
	timer     *time.Timer
	waited    bool
	first     bool // came into this process's line as the one whose turn it is
	hold      hold
}

// knowledge is what a lock remembers of its path from one acquisition to the
// next. Only the acquisition that has the lock's gate uses it.
type knowledge struct {
	looked time.Time // when the path was last looked at, and no other process queued for it
	vetted bool      // what lay at the path was fit to be opened
	dev    uint64    // the device that local speaks of
	local  bool      // tickets mean something there
}

// fresh says that the path and the queue need no look yet.
func (k *knowledge) fresh(now time.Time) bool { return now.Sub(k.looked) < lookEvery }

// spares are acquisitions that have ended, for others to use their memory.
var spares = sync.Pool{New: func() any { return new(acquisition) }}

// programBegan is what moments are counted from that are to take 8 bytes instead of 24:
// ten thousand may wait.
var programBegan = time.Now()

// hold is a lock that is held: an open file, the system's lock on it, and the
// place among the holders of this process.
type hold struct {
	*target
	file      *os.File
	fd        uintptr // file's; only for as long as nobody else has the file
	id        fileID
	mechanism oslock.Mechanism
	place     place
	unlocked  error         // the result of unlockFD, which as a closure would cost a fast release two allocations
	since     time.Duration // from programBegan until the lock was had, or a little earlier
	watch     *notify.Watch // of the wait that led here, to be ended with the hold; may be nil
	whole     *acquisition  // that this is a part of, if its memory may be used again
}

// newAcquisition begins an acquisition, unless something makes it senseless.
func newAcquisition(ctx context.Context, t *target, s *settings, opts []Option, known *knowledge) (*acquisition, error) {
	a := spares.Get().(*acquisition)
	a.target, a.settings, a.known, a.started = t, s, known, time.Now()
	if len(opts) > 0 {
		changed := *s
		changed.apply(opts)
		a.settings = &changed
	}
	a.hold.target, a.hold.mechanism, a.hold.place.known = t, a.mechanism, known
	a.access = a.settings.access
	if a.timeout < Forever/2 { // what is longer would overflow the sum
		a.end = a.started.Add(a.timeout)
	}
	var err error
	switch {
	case t.err != nil:
		err = t.err
	case a.settings.err != nil:
		err = a.settings.err
	case ctx == nil:
		err = errors.New("the context is nil; use context.Background where there is none")
	case ctx.Err() != nil:
		err = cause.Of(ctx)
	}
	if err != nil {
		return nil, &LockError{Op: "acquire", Path: t.name, Err: err}
	}
	return a, nil
}

// run opens the file and takes the lock. Whatever fails, nothing stays open or
// locked.
func (a *acquisition) run(ctx context.Context) (*hold, error) {
	h := &a.hold
	h.whole = a
	if !a.onlyOnce() { // who tries once does not stand in line: "already locked" would be a lie if the lock is free
		a.first = h.place.enter(a.path, a.mechanism, a.lockMode, a.started)
	}
	open, err := a.openFor(ctx, a.take)
	if err == nil && a.access.truncate {
		err = h.file.Truncate(0)
	}
	switch {
	case err == nil:
		return h, nil
	case !open:
		h.place.leave()
		return nil, err
	}
	return nil, join(a.explain(ctx, err), h.drop())
}

// openFor opens the file and calls take, once more with the file opened anew where
// that may help. The place in this process's line is kept meanwhile. It reports
// whether the file is open; then the error is take's.
func (a *acquisition) openFor(ctx context.Context, take func(context.Context) error) (open bool, err error) {
	if err := a.openInTurn(ctx); err != nil {
		return false, err
	}
	err = take(ctx)
	for opened := 1; err != nil && a.worthReopening(ctx, err, opened); opened++ {
		reopenErr := oslock.Close(a.hold.file)
		if reopenErr == nil {
			reopenErr = a.open()
		}
		if reopenErr != nil {
			if refusedAccess(err) {
				reopenErr = join(a.explain(ctx, err), reopenErr)
			}
			return false, reopenErr
		}
		err = take(ctx)
	}
	return true, err
}

// openInTurn opens the file as soon as the place in line is near enough.
func (a *acquisition) openInTurn(ctx context.Context) error {
	switch {
	case a.onlyOnce():
		if a.heldHere() {
			return a.lockedHere(nil)
		}
	case !a.first:
		if err := a.waitToOpen(ctx); err != nil {
			return err
		}
	}
	return a.open()
}

// heldHere says that this process has the lock already, and that a file opened in vain
// could not be closed before its release, as with POSIX locks.
func (a *acquisition) heldHere() bool {
	if a.mechanism != oslock.POSIX || a.access.excl {
		return false
	}
	id := (&hold{target: a.target}).identity()
	return oslock.Held(id.dev, id.ino, a.lockMode)
}

func (a *acquisition) waitToOpen(ctx context.Context) error {
	for {
		near, turn := a.hold.place.mayOpen()
		if a.mechanism == oslock.POSIX { // a file opened before its turn could not be closed; see heldHere
			near, turn = a.hold.place.first(time.Now())
		}
		if near {
			return nil
		}
		if err := a.waitFor(ctx, turn); err != nil {
			return err
		}
	}
}

// open opens the file. A lock that is taken again and again does not look each
// time at what kind of file that is.
func (a *acquisition) open() (err error) {
	h := &a.hold
	how := opening{access: a.access, perm: a.perm, vetted: a.known.vetted}
	how.trusted = how.vetted && !a.private && a.known.fresh(a.started)
	h.file, h.id, err = a.target.open(how)
	a.known.vetted = err == nil
	if err == nil {
		h.fd = h.file.Fd()
	}
	return err
}

// worthReopening says whether another file may be locked where this one was not.
func (a *acquisition) worthReopening(ctx context.Context, err error, opened int) bool {
	if errors.Is(err, errReplaced) {
		a.debug("lock file was replaced, starting over", "path", a.path)
		if a.onlyOnce() && opened >= replacedLimit {
			return false
		}
		return ctx.Err() == nil && (a.onlyOnce() || !a.expired())
	}
	if refusedAccess(err) && !(a.access.read && a.access.write) {
		a.access.read, a.access.write, a.access.excl = true, true, false
		return true
	}
	return false
}

// explain makes the final error of a wait that failed.
func (a *acquisition) explain(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, errReplaced):
		ended := fmt.Errorf("other programs keep replacing %s", printable(a.path))
		if ctx.Err() != nil {
			ended = fmt.Errorf("%w: %w", ended, cause.Of(ctx))
		}
		return a.locked(ended)
	case refusedAccess(err):
		return &LockError{Op: "acquire", Path: a.name, Err: fmt.Errorf(
			"an exclusive lock needs a file open for writing, a shared one for reading, with %s locks or over NFS: %w",
			a.mechanism, reasonOf(err))}
	}
	return err
}

// refusedAccess says that the lock was refused for how the file is open. The same error
// of a disk is not in a LockError.
func refusedAccess(err error) bool {
	e := (*LockError)(nil)
	return errors.As(err, &e) && needsOtherAccess(err)
}

// reasonOf takes the wrapping of a LockError off.
func reasonOf(err error) error {
	if e := (*LockError)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}

// release ends the hold. While it is still held alone, finish is called, if there
// is one, and a file that goes with its lock is unlinked.
func (h *hold) release(finish func() error) error {
	if !h.unlinked || !h.alone() {
		return h.drop()
	}
	var err error
	if finish != nil {
		err = finish()
	}
	if canUnlinkOpenFiles {
		err = join(err, os.Remove(h.path))
	}
	err = join(err, h.drop())
	if !canUnlinkOpenFiles {
		err = join(err, removeClosed(h.path))
	}
	return err
}

// alone says whether the path is this holder's to unlink: it has the lock, nobody
// shares it, and the path still names the locked file. Who has unlocked or closed
// the file by hand, or shares the lock, must leave the path to the others.
func (h *hold) alone() bool {
	if h.mechanism == oslock.LockFileEx {
		return true // the file cannot be replaced, and is removed only when nobody has it open any more
	}
	err := withFD(h.file, func(fd uintptr) error {
		if h.place.mode == oslock.Shared {
			// Of two that end at once and keep their locks until they have the exclusive
			// one, neither gets it, and the file stays. flock(2) converts in this way itself.
			if err := oslock.Unlock(fd, h.mechanism); err != nil {
				return err
			}
		}
		return oslock.Try(fd, h.mechanism, oslock.Exclusive)
	})
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
	if h.place.holds {
		unlockErr = h.unlock()
		if time.Since(programBegan)-h.since > DefaultCheckInterval {
			// A child that has inherited the file keeps it open, and then our close tells
			// nobody. After a hold this long some may rely on being told.
			_ = withFD(h.file, tell)
		}
	}
	if h.place.leave() {
		yield()
	}
	err := join(unlockErr, oslock.Close(h.file))
	if h.watch != nil {
		h.watch.Close()
	}
	return err
}

// spare leaves the memory of a hold that has ended to the next acquisition. Whoever
// calls it must be the last that knows the hold.
func (h *hold) spare() {
	if a := h.whole; a != nil {
		*a = acquisition{}
		spares.Put(a)
	}
}

// yielding counts the goroutines that have let the next one run first.
var yielding atomic.Int32

// yield lets the goroutine that was woken run at once: the lock is free, and the
// close can wait. On a busy machine nobody else may run those that yielded for a
// long time (Go's scheduler prefers goroutines that wake each other), so that they
// would lose turns; therefore only two at a time.
func yield() {
	if yielding.Add(1) <= 2 {
		runtime.Gosched()
	}
	yielding.Add(-1)
}

// unlock unlocks the file, unless the user has closed it.
func (h *hold) unlock() error {
	conn, err := h.file.SyscallConn()
	if err != nil {
		return err
	}
	if conn.Control(h.unlockFD) != nil {
		oslock.Forget(h.id.dev, h.id.ino, h.fd)
		return os.ErrClosed
	}
	return h.unlocked
}

func (h *hold) unlockFD(fd uintptr) { h.unlocked = oslock.Unlock(fd, h.mechanism) }

// locked is the error of an acquisition that ended while somebody else had the
// lock: at once, by the timeout, or by what ended says.
func (a *acquisition) locked(ended error) *LockError {
	err := &LockError{Op: "acquire", Path: a.name, Err: ErrAlreadyLocked, Cause: ended}
	if !a.onlyOnce() {
		err.Waited = time.Since(a.started)
	}
	return err
}

// tellOfWait notes and logs that a wait begins, and tellOfEnd, if there was one, logs
// how it ended.
func (a *acquisition) tellOfWait() {
	if !a.waited && a.logger != nil {
		a.debug("lock is held, waiting", "path", a.path)
	}
	a.waited = true
}

func (a *acquisition) tellOfEnd(err error) {
	if a.waited && a.logger != nil {
		a.debug("wait is over", "path", a.path, "acquired", err == nil, "waited", time.Since(a.started))
	}
}

func (a *acquisition) expired() bool { return !a.end.IsZero() && !time.Now().Before(a.end) }
