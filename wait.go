package portalocker

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/portalocker/portalocker/internal/cause"
	"github.com/portalocker/portalocker/internal/notify"
	"github.com/portalocker/portalocker/internal/oslock"
)

// waiter is an acquisition that waits: first for its turn among the goroutines of
// this process, then, as the one that asks for all of them, among the processes.
type waiter struct {
	*acquisition
	prize   prize
	home    *hold // the open file where the queue stands; its place is in line
	hinted  bool  // something may have changed since the last look
	early   bool  // something may have changed, and no try has failed since
	outside bool  // stands among the processes: has asked, in vain
	won     bool

	queue   ticketQueue
	ordered bool      // processes have an order here, so that queue means something
	counted bool      // who is before this one has been looked at
	ahead   int       // processes before this one; counted up to ticketWindow
	first   int64     // the ticket of the first of them
	front   bool      // near enough to the first to watch the file
	tryAt   time.Time // when to try although somebody is before this one
	due     time.Time // when to try in any case

	watch *notify.Watch // nil unless at the front, and where there are no events
	blind bool          // no watch is to be had
	bell  *notify.Bell  // nil unless behind the front, and where there are none
	rung  bool          // the bell was rung
	pause time.Duration // the last one of those that grow
	soon  time.Duration // the next of a few short ones after a hint; 0 for none
}

// prize is what is waited for: a file's lock, or any slot of a semaphore.
type prize interface {
	// ask tries to take it; the error is oslock.ErrLocked if others have it.
	ask(w *waiter) error

	// watch watches what tells that it may be free.
	watch() (*notify.Watch, error)

	// stillNamed is errReplaced if the wait is for files that are not the paths'
	// any more.
	stillNamed() error
}

// take waits in line for the lock of the open file, and takes it: on success, and
// only then, the place holds. The error is errReplaced if the path has got another
// file.
func (a *acquisition) take(ctx context.Context) error {
	if a.onlyOnce() {
		return a.takeAtOnce()
	}
	mine := a.first
	if !mine {
		mine, _ = a.hold.place.first(a.started) // by now
	}
	if mine && a.known.fresh(a.started) {
		// Nobody is before us, as far as is known: since the look at the line, none
		// but a single try can have got the lock, and then the system says so. This
		// is what await would do too, without what only a wait needs.
		if err := a.try(0); err != oslock.ErrLocked {
			return err
		}
	}
	return a.await(ctx, a, &a.hold)
}

// takeAtOnce is take for who does not wait.
func (a *acquisition) takeAtOnce() error {
	err := a.try(0)
	if a.unlinked && a.lockMode == oslock.Shared {
		// Who releases a shared lock has it alone for a moment, to find out whether the
		// file is to be unlinked (see hold.alone). That is no reason to refuse a reader.
		for pause := giveWay / 8; err == oslock.ErrLocked && pause <= 4*giveWay; pause *= 2 {
			time.Sleep(pause)
			if err = a.stillNamed(); err == nil {
				err = a.try(0)
			}
		}
	}
	if err == oslock.ErrLocked {
		return a.lockedBy(nil)
	}
	return err
}

// ask, watch and the others make a file's lock a prize.
func (a *acquisition) ask(w *waiter) error           { return a.try(w.ahead) }
func (a *acquisition) watch() (*notify.Watch, error) { return notify.New(a.hold.file) }

// await waits in line for a prize, and takes it. home is the open file where the
// processes queue, and has the place in the line of this process.
func (a *acquisition) await(ctx context.Context, prize prize, home *hold) error {
	// Arriving is a reason to look, as a hint is.
	w := waiter{acquisition: a, prize: prize, home: home, hinted: true}
	defer w.leave()
	for {
		now := time.Now()
		mine, turn := home.place.first(now)
		if !mine {
			if err := a.waitFor(ctx, turn); err != nil {
				return err
			}
			w.hinted = true
			continue
		}
		if !w.counted && a.known.fresh(now) { // as in take, for goroutines that take turns
			if err := prize.ask(&w); err != oslock.ErrLocked {
				w.won = err == nil
				return err
			}
		}
		w.early = w.early || w.hinted
		w.count(now)
		if w.mayTry(now) {
			if err := prize.ask(&w); err != oslock.ErrLocked {
				w.won = err == nil
				return err
			}
			w.due = now.Add(w.safetyNet(now))
			w.tryAt = w.due
			if w.early && w.outside {
				w.soon = giveWay / 5 // before the next in line stops giving way
				if w.ahead > 0 {
					w.soon = giveWay
				}
			}
			w.early = false
		}
		if w.join() {
			w.hinted = true // what happened before there was a watch gave no hint
			continue
		}
		if err := w.sleep(ctx, w.nextPause(now), turn); err != nil {
			return err
		}
		if err := prize.stillNamed(); err != nil {
			return err
		}
	}
}

// count finds out who is before this waiter.
func (w *waiter) count(now time.Time) {
	if w.counted && w.ahead == 0 {
		return // once first, always first: arrivals come behind
	}
	arrived := !w.counted
	if arrived {
		w.counted = true
		w.queue, w.ordered = w.queueAt(w.home)
	}
	var ahead int
	var first int64
	if w.ordered {
		ahead, first = w.queue.ahead()
	}
	if arrived && ahead == 0 {
		w.known.looked = now // had somebody stood there, the next to come would have to look too
	}
	w.front = w.front || w.rung || ahead < ticketWindow
	switch {
	case w.hinted:
		w.tryAt = now.Add(time.Duration(ahead) * giveWay) // leave it to those before
		w.soon = 0
	case first != w.first:
		w.tryAt = now.Add(w.safetyNet(now)) // the queue moves, so its front is well
	}
	w.ahead, w.first = ahead, first
}

// mayTry says whether to ask for the lock now. Behind others that is not before
// they have been given way, and behind the front only if that does not move.
func (w *waiter) mayTry(now time.Time) bool {
	switch {
	case w.ahead == 0:
		return true
	case w.front && w.outside && !now.Before(w.due):
		return true
	}
	return w.outside && !now.Before(w.tryAt)
}

// join takes a place among the processes, with a watch on the file at the front,
// and a bell behind it. It reports whether any is new.
func (w *waiter) join() (joined bool) {
	if !w.outside {
		w.outside, joined = true, true
		w.tellOfWait()
		w.due = time.Now().Add(w.checkInterval)
		if w.ordered {
			w.bell = w.queue.join(!w.front)
		}
	}
	if !w.front || w.watch != nil || w.blind {
		return joined
	}
	w.takeBellDown()
	watch, err := w.prize.watch()
	if err != nil {
		w.debug("no events for this wait, polling", "path", w.path, "error", err)
		w.blind = true
		return joined
	}
	w.watch = watch
	return true
}

// nextPause is how long to sleep if nothing happens.
func (w *waiter) nextPause(now time.Time) time.Duration {
	switch {
	case w.watch == nil && w.bell == nil:
		w.pause = min(max(2*w.pause, firstPause), w.checkInterval)
		return w.pause
	case w.soon > 0:
		// When a process dies, the kernel tells of the close of its files a moment
		// before it drops their locks (__fput of Linux's fs/file_table.c), so a hint
		// may come too early by as long as that is kept from going on.
		// Those before may have died with the holder, so whoever gives way looks too.
		pause := min(w.soon, w.safetyNet(now))
		if w.soon *= 4; w.soon > 64*firstPause {
			w.soon = 0
		}
		w.tryAt = now.Add(pause)
		return pause
	case w.front && w.ahead > 0:
		return w.tryAt.Sub(now)
	}
	return w.safetyNet(now)
}

// safetyNet is how long to rely on events. Where these are all there is, on local
// filesystems, the net is only for a holder that unlocks without closing, and gets
// wider the longer the wait lasts: each look costs more than the whole wait.
func (w *waiter) safetyNet(now time.Time) time.Duration {
	if !w.ordered {
		return w.checkInterval
	}
	return max(w.checkInterval, min(now.Sub(w.started)/2, 60*w.checkInterval))
}

// sleep ends with a hint, with the pause, or with an error when the acquisition has
// to give up.
func (w *waiter) sleep(ctx context.Context, pause time.Duration, turn <-chan struct{}) error {
	if w.expired() {
		return w.lockedBy(nil)
	}
	if w.watch != nil {
		w.hinted = w.watch.Wait(ctx, w.until(pause))
	} else {
		w.hinted = w.listen(ctx, pause, turn)
	}
	if ctx.Err() != nil {
		return w.lockedBy(cause.Of(ctx))
	}
	return nil
}

// listen is a sleep without a watch, which can listen to more.
func (w *waiter) listen(ctx context.Context, pause time.Duration, turn <-chan struct{}) (hinted bool) {
	var rung <-chan struct{}
	if w.bell != nil {
		rung = w.bell.Rung()
	}
	select {
	case <-turn:
		return true
	case <-rung:
		w.rung = true
		return true
	case <-w.wakeAfter(pause):
	case <-ctx.Done():
	}
	return false
}

// leave ends the wait, with whatever result.
func (w *waiter) leave() {
	if w.won {
		w.home.watch = w.watch // to end it takes a while that the new holder need not wait
	} else if w.watch != nil {
		w.watch.Close()
	}
	w.takeBellDown()
	if ticket := w.queue.leave(); ticket != 0 {
		switch {
		case w.front, !w.won:
			w.queue.ring(firstTicket) // others are the front now, or this one was rung for and gives up
		default:
			w.queue.ring(ticket) // the front does not answer: whoever is next here
		}
		if w.won && w.lockMode == oslock.Shared {
			// Others who watch may have tried while this one stood before them with the
			// lock; as readers they can have it too.
			w.queue.stir(ticket)
		}
	}
	if w.timer != nil {
		w.timer.Stop()
	}
}

func (w *waiter) takeBellDown() {
	if w.bell != nil {
		w.bell.Close()
		w.bell = nil
	}
}

// until is the end of a pause that begins now, or of the timeout where that comes
// first; zero where neither has an end. A pause of 0 has none.
func (a *acquisition) until(pause time.Duration) time.Time {
	if pause == 0 {
		return a.end
	}
	if end := time.Now().Add(pause); a.end.IsZero() || end.Before(a.end) {
		return end
	}
	return a.end
}

// wakeAfter sets the timer for until; the channel is nil where there is no end.
func (a *acquisition) wakeAfter(pause time.Duration) <-chan time.Time {
	until := a.until(pause)
	if until.IsZero() {
		return nil
	}
	if a.timer == nil {
		a.timer = time.NewTimer(time.Until(until))
	} else {
		a.timer.Reset(time.Until(until))
	}
	return a.timer.C
}

// waitFor waits for a turn in the line of this process, as long as the timeout and
// the context last.
func (a *acquisition) waitFor(ctx context.Context, turn <-chan struct{}) error {
	if a.expired() {
		return a.lockedBy(nil)
	}
	a.tellOfWait()
	select {
	case <-turn:
	case <-a.wakeAfter(0):
	case <-ctx.Done():
		return a.lockedBy(cause.Of(ctx))
	}
	return nil
}

// lockedHere is locked by this process.
func (a *acquisition) lockedHere(ended error) *LockError {
	err := a.locked(ended)
	err.HolderPID, err.HolderCommand = os.Getpid(), commandOf(os.Getpid())
	return err
}

// enter takes a lock's gate, which at most one acquisition or holder has. In vain,
// held tells whether this process has the lock, or another goroutine waits for it too.
func (a *acquisition) enter(ctx context.Context, gate chan<- struct{}, held func() bool) error {
	select {
	case gate <- struct{}{}:
		return nil
	default:
	}
	var ended error
	if !a.onlyOnce() {
		a.tellOfWait()
		select {
		case gate <- struct{}{}:
			return nil
		case <-a.wakeAfter(0):
		case <-ctx.Done():
			ended = cause.Of(ctx)
		}
	}
	err := a.locked(ended)
	if held() {
		err = a.lockedHere(ended)
	}
	a.tellOfEnd(err)
	return err
}

// try asks the system for the lock. The error is oslock.ErrLocked if somebody
// else has it.
func (a *acquisition) try(ahead int) error {
	h := &a.hold
	mode := a.lockMode
	if ahead > 0 {
		// A reader behind somebody who does not take the lock: if other readers
		// hold it, that may be a writer, which a stream of readers must not starve;
		// only if the lock is free altogether, whoever is first does not answer.
		mode = oslock.Exclusive
	}
	err := oslock.Try(h.fd, a.mechanism, mode)
	if err == nil && mode != a.lockMode {
		err = oslock.Try(h.fd, a.mechanism, a.lockMode)
	}
	switch {
	case err == nil:
	case errors.Is(err, oslock.ErrLocked):
		return oslock.ErrLocked
	default:
		return &LockError{Op: "acquire", Path: a.name, Err: err}
	}
	if err := a.stillNamed(); err != nil {
		return join(err, oslock.Unlock(h.fd, a.mechanism))
	}
	h.since = a.started.Sub(programBegan)
	if a.waited {
		h.since = time.Since(programBegan)
	}
	if h.place.line == nil {
		h.place.pass(a.path, a.mechanism, a.lockMode)
	} else {
		h.place.hold()
	}
	return nil
}

// stillNamed is errReplaced if the path names another file than the open one, for
// targets where that matters.
func (a *acquisition) stillNamed() error {
	if !a.private {
		return nil
	}
	same, err := a.names(a.hold.id)
	if err == nil && !same {
		return errReplaced
	}
	return err
}

// queueAt gives the queue of the processes at an open file, and whether there is
// an order at all.
func (a *acquisition) queueAt(h *hold) (ticketQueue, bool) {
	if a.mechanism != oslock.Flock {
		return ticketQueue{}, false
	}
	if dev := h.identity().dev; a.known.dev != dev {
		a.known.dev, a.known.local = dev, localFilesystem(h.fd)
	}
	return ticketQueue{fd: h.fd, id: h.identity(), arrival: arrival(a.started)}, a.known.local
}

// lockedBy is locked with the holder's name.
func (a *acquisition) lockedBy(ended error) error {
	err := a.locked(ended)
	err.HolderPID, err.HolderCommand = a.hold.holder()
	return err
}
