package portalocker

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/portalocker/portalocker/internal/notify"
	"github.com/portalocker/portalocker/internal/oslock"
)

// waiter is an acquisition that waits for one open file: first for its turn among
// the goroutines of this process, then, as the one that asks for all of them,
// among the processes.
type waiter struct {
	*acquisition
	hold  *hold
	queue *ticketQueue  // nil where processes have no order
	watch *notify.Watch // nil unless at the front, and where there are no events

	outside bool          // stands among the processes: has asked, in vain
	blind   bool          // no watch is to be had
	ahead   int           // processes before this one; counted up to ticketWindow
	tryAt   time.Time     // when to try although somebody is before this one
	pause   time.Duration // the last one of those that grow
	seen    progress
}

// progress is how the front of the queue moves, seen from behind.
type progress struct {
	since time.Time
	from  int64 // the first ticket when this waiter began to look
	first int64 // the first ticket now
}

// take waits in line for the lock of h's file, and takes it: on success, and only
// then, h's place holds. The error is errReplaced if the path has got another
// file.
func (a *acquisition) take(ctx context.Context, h *hold) error {
	if a.onlyOnce() {
		// Not by the line: "already locked" would be a lie if the lock is free.
		err := a.try(h, 0)
		if err == oslock.ErrLocked {
			return a.lockedBy(h, nil)
		}
		return err
	}
	w := waiter{acquisition: a, hold: h, queue: a.queueOf(h)}
	defer w.leave()
	hinted := true // arriving is a reason to look, as a hint is
	for {
		mine, turn := h.place.first()
		if !mine {
			if _, err := w.sleep(ctx, 0, turn); err != nil {
				return err
			}
			continue
		}
		now := w.look(hinted)
		if w.ahead == 0 || !now.Before(w.tryAt) {
			if err := a.try(h, w.ahead); err != oslock.ErrLocked {
				return err
			}
			w.tryAt = now.Add(a.checkInterval)
		}
		if w.join() {
			hinted = true // what happened before there was a watch gave no hint
			continue
		}
		var err error
		if hinted, err = w.sleep(ctx, w.nextPause(now), turn); err != nil {
			return err
		}
		if err := a.stillNamed(h); err != nil {
			return err
		}
	}
}

// look finds out who is before this waiter, and, on a hint, how long to leave
// them the lock.
func (w *waiter) look(hinted bool) time.Time {
	now := time.Now()
	switch {
	case w.queue == nil:
		return now
	case w.outside && w.ahead == 0:
		return now // arrivals come behind
	case !w.outside && now.Sub(w.known.looked) < lookEvery:
		return now
	}
	w.known.looked = now
	ahead, first := w.queue.rank(ticketWindow)
	w.ahead = ahead
	switch moved := first != w.seen.first; {
	case ahead < ticketWindow && hinted:
		w.tryAt = now.Add(time.Duration(ahead) * giveWay)
	case ahead == ticketWindow && moved:
		w.tryAt = now.Add(w.checkInterval) // the front is not stuck
	}
	if w.seen.since.IsZero() {
		w.seen = progress{since: now, from: first}
	}
	w.seen.first = first
	return now
}

// join takes a place among the processes, and a watch on the file once the
// front is near. It reports whether either is new.
func (w *waiter) join() (joined bool) {
	if !w.outside {
		w.outside, joined = true, true
		if w.queue != nil {
			w.queue.join()
		}
	}
	if w.watch == nil && !w.blind && w.ahead < ticketWindow {
		watch, err := notify.New(w.hold.file)
		if err != nil {
			w.debug("no events for this wait, polling", "path", w.path, "error", err)
			w.blind = true
			return joined
		}
		w.watch, joined = watch, true
	}
	return joined
}

// nextPause is how long to sleep if nothing happens.
func (w *waiter) nextPause(now time.Time) time.Duration {
	switch {
	case w.ahead == ticketWindow:
		w.pause = w.seen.pause(now, w.queue.arrival, w.pause)
		return min(w.pause, w.tryAt.Sub(now))
	case w.watch == nil:
		w.pause = min(max(2*w.pause, firstPause), w.checkInterval)
		return w.pause
	case w.ahead > 0:
		return w.tryAt.Sub(now)
	}
	return w.checkInterval
}

// pause is how long a waiter at the back sleeps: half the time in which, as far
// as it can tell, the queue will have moved up to it; longer and longer while
// nothing moves.
func (p progress) pause(now time.Time, arrival int64, last time.Duration) time.Duration {
	pause := 2 * last
	if moved := p.first - p.from; moved > 0 {
		left := arrival - p.first
		pause = time.Duration(float64(now.Sub(p.since)) * float64(left) / float64(moved) / 2)
	}
	return min(max(pause, 2*firstPause), DefaultCheckInterval)
}

// sleep ends with a hint (or the turn), with the pause, or with an error when the
// acquisition has to give up. A pause of 0 has no end.
func (w *waiter) sleep(ctx context.Context, pause time.Duration, turn <-chan struct{}) (hinted bool, err error) {
	timer, err := w.wakeAfter(pause)
	if err != nil {
		return false, w.lockedBy(w.hold, nil)
	}
	var hints <-chan struct{}
	if w.watch != nil {
		hints = w.watch.Hints()
	}
	select {
	case <-hints:
		return true, nil
	case <-turn:
		return true, nil
	case <-timer:
		return false, nil
	case <-ctx.Done():
		return false, w.lockedBy(w.hold, endOf(ctx))
	}
}

// leave ends the wait, with whatever result.
func (w *waiter) leave() {
	if w.watch != nil {
		w.watch.Close()
	}
	if w.outside && w.queue != nil {
		w.queue.leave()
	}
	if w.timer != nil {
		w.timer.Stop()
	}
}

// errExpired says that the timeout has passed.
var errExpired = errors.New("timeout")

// wakeAfter sets the timer to the end of a pause, or of the timeout where that
// comes first; it is nil where neither has an end.
func (a *acquisition) wakeAfter(pause time.Duration) (<-chan time.Time, error) {
	if !a.end.IsZero() {
		left := time.Until(a.end)
		if left <= 0 {
			return nil, errExpired
		}
		if pause == 0 || left < pause {
			pause = left
		}
	}
	if pause == 0 {
		return nil, nil
	}
	if a.timer == nil {
		a.timer = time.NewTimer(pause)
	} else {
		a.timer.Reset(pause)
	}
	return a.timer.C, nil
}

// enter takes a lock's gate, which at most one acquisition or holder has. In vain,
// this process is the one that has the lock.
func (a *acquisition) enter(ctx context.Context, gate chan<- struct{}) error {
	select {
	case gate <- struct{}{}:
		return nil
	default:
	}
	var ended error
	if !a.onlyOnce() {
		timer, err := a.wakeAfter(0)
		if err == nil {
			select {
			case gate <- struct{}{}:
				return nil
			case <-timer:
			case <-ctx.Done():
				ended = endOf(ctx)
			}
		}
	}
	err := a.locked(ended)
	err.HolderPID, err.HolderCommand = os.Getpid(), commandOf(os.Getpid())
	return err
}

// try asks the system for the lock. The error is oslock.ErrLocked if somebody
// else has it.
func (a *acquisition) try(h *hold, ahead int) error {
	err := control(h.conn, func(fd uintptr) error {
		if ahead == 0 || a.lockMode == oslock.Exclusive {
			return oslock.Try(fd, a.mechanism, a.lockMode)
		}
		// A reader behind somebody who does not take the lock: if other readers
		// hold it, that may be a writer, which a stream of readers must not starve;
		// only if the lock is free altogether, whoever is first does not answer.
		if err := oslock.Try(fd, a.mechanism, oslock.Exclusive); err != nil {
			return err
		}
		return oslock.Try(fd, a.mechanism, oslock.Shared)
	})
	switch {
	case err == nil:
	case errors.Is(err, oslock.ErrLocked):
		return oslock.ErrLocked
	default:
		return &LockError{Op: "acquire", Path: a.name, Err: err}
	}
	if err := a.stillNamed(h); err != nil {
		return errors.Join(err, h.unlock())
	}
	h.place.hold()
	return nil
}

// stillNamed is errReplaced if the path names another file than the open one, for
// targets where that matters.
func (a *acquisition) stillNamed(h *hold) error {
	if !a.unlinked {
		return nil
	}
	same, err := a.names(h.id)
	if err == nil && !same {
		return errReplaced
	}
	return err
}

// queueOf gives the queue of the processes that wait for h's file, or nil where
// there is no order.
func (a *acquisition) queueOf(h *hold) *ticketQueue {
	if a.mechanism != oslock.Flock {
		return nil
	}
	if a.known.dev != h.id.dev {
		a.known.dev, a.known.local = h.id.dev, localFilesystem(h.conn)
	}
	if !a.known.local {
		return nil
	}
	return &ticketQueue{conn: h.conn, arrival: arrival(a.started)}
}

func (a *acquisition) lockedBy(h *hold, ended error) error {
	err := a.locked(ended)
	err.HolderPID, err.HolderCommand = h.holder()
	return err
}
