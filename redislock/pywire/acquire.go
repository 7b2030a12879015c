package pywire

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/cause"
	"github.com/portalocker/portalocker/internal/redisconn"
	"github.com/portalocker/portalocker/redislock"
)

const (
	// looks is how often an attempt looks again when not all have answered. The second
	// look is without those that the first one has cut off.
	looks = 3

	// contests is for how many unavailable timeouts one that has made itself exclusive
	// waits for its rivals to go. A Python portalocker 4.0 or 4.1 reads ten replies in
	// that timeout, so it goes in one or two.
	contests = 3

	// contestPause is how long it waits, more or less, between two looks.
	contestPause = 20 * time.Millisecond
)

// acquisition is one Acquire.
type acquisition struct {
	lock *Lock
	settings
	caller  context.Context // the caller's
	ctx     context.Context // ends with it, and at the timeout
	began   time.Time
	link    *link
	self    *participant    // nil while it is not on the channel
	readers map[string]mode // for a writer: the readers before it; nil before its first look
	seen    string          // who is in the way, "" while nobody has been seen
}

// errTimeUp is why the context of an acquisition ends at the timeout.
var errTimeUp = errors.New("the time is up")

func (a *acquisition) run() (*Lease, error) {
	var err error
	if a.link, err = newLink(a.lock.rdb, a.unavailable); err != nil {
		return nil, a.failed(err)
	}
	cancel := a.limit()
	defer cancel()
	stop := context.AfterFunc(a.ctx, a.link.abort)
	err = a.attempts()
	if err == nil && stop() {
		a.logger.Debug("pywire: holds", "channel", a.lock.channel, "id", a.self.id, "shared", a.shared)
		return newLease(a), nil
	}
	if err == nil { // the link was cut in that moment
		err = a.ctx.Err()
	}
	a.drop()
	stop()
	a.link.close()
	return nil, a.failed(err)
}

// limit makes the context of the acquisition.
func (a *acquisition) limit() context.CancelFunc {
	// A timeout that is longer than half of for ever is for ever; the sum would overflow.
	if a.timeout == 0 || a.timeout >= portalocker.Forever/2 {
		ctx, cancel := context.WithCancel(a.caller)
		a.ctx = ctx
		return cancel
	}
	ctx, cancel := context.WithTimeoutCause(a.caller, a.timeout, errTimeUp)
	a.ctx = ctx
	return cancel
}

// attempts goes on until the lock is had, or must not be waited for any longer.
func (a *acquisition) attempts() error {
	// A server that cannot be reached, or refuses this client, says so best here.
	if err := a.link.Ping(a.ctx).Err(); err != nil {
		return err
	}
	for failures := 0; ; a.pause(a.checkInterval) {
		v, err := a.attempt()
		switch {
		case a.ctx.Err() != nil:
			return a.ctx.Err()
		case v == enter && err == nil:
			return nil
		case err == nil:
			failures = 0
			if v != wait {
				a.drop()
			}
			if a.timeout == 0 || a.failWhenLocked && v != undecided {
				return portalocker.ErrAlreadyLocked
			}
			continue
		case a.self == nil || a.self.check() == nil: // a command failed; else somebody has cut this one off
			failures++
			if redisconn.Final(err) || failures > 1 {
				return err
			}
		}
		a.logger.Debug("pywire: an attempt failed", "channel", a.lock.channel, "error", err)
		a.drop()
	}
}

// attempt goes onto the channel, if it is not there, and looks whether the lock is to
// be had.
func (a *acquisition) attempt() (verdict, error) {
	if a.self != nil && a.self.check() != nil {
		a.drop()
	}
	if a.self == nil {
		self, err := join(a.ctx, a.link, a.lock.channel, &a.settings)
		if err != nil {
			return undecided, err
		}
		a.self, a.readers = self, nil
	}
	for range looks {
		seen, err := a.self.look(a.ctx)
		if err != nil {
			return undecided, err
		}
		a.note(seen)
		if !seen.decided {
			continue
		}
		elected := a.self.isElected()
		others := seen.others
		if !a.shared {
			others, a.readers = early(a.readers, others)
		}
		v := decide(a.self.id, a.mode(), elected, others)
		switch {
		case v == blocked && a.onlyOnce() && a.shared && unsettled(seen.others):
			a.pause(contestPause)
			continue
		case v == wait && !elected:
			a.self.become(pending, true)
		case v == enter && !a.shared:
			a.self.become(exclusive, elected || len(seen.others) > 0)
			return a.contest()
		}
		return v, a.self.check()
	}
	if a.self.isElected() {
		return wait, nil
	}
	return undecided, nil
}

// contest looks again, now that everybody can see that this one is exclusive, and
// says whether it may stay so.
func (a *acquisition) contest() (verdict, error) {
	var rivals map[string]mode // nil before the first look
	for end := time.Now().Add(contests * a.unavailable); time.Now().Before(end); a.pause(contestPause) {
		seen, err := a.self.look(a.ctx)
		if err != nil {
			return undecided, err
		}
		a.note(seen)
		if !seen.decided {
			continue
		}
		current, stepBack := contest(a.self.id, seen.others)
		if stepBack {
			return blocked, nil
		}
		rivals = remaining(rivals, current)
		if len(rivals) == 0 {
			return enter, a.self.check()
		}
	}
	return undecided, nil
}

// note keeps who is in the way, for the error.
func (a *acquisition) note(seen view) {
	switch {
	case len(seen.others) > 0:
		a.seen = describe(seen.others)
	case seen.silent > 0:
		a.seen = fmt.Sprintf("or so it seems: %s of the channel did not answer", count(seen.silent, "subscriber"))
	case !seen.decided && a.seen == "":
		a.seen = "or so it seems: others come and go on the channel"
	}
}

// onlyOnce says whether a lock that is held is an answer rather than a reason to wait.
func (a *acquisition) onlyOnce() bool { return a.timeout == 0 || a.failWhenLocked }

// drop leaves the channel.
func (a *acquisition) drop() {
	if a.self == nil {
		return
	}
	_ = a.self.leave(a.ctx) // its connection is closed in any case
	a.self = nil
}

// pause waits about d, between half of it and one and a half: contenders that have met
// must not meet again and again. It ends early with the context, or when this one has
// been cut off.
func (a *acquisition) pause(d time.Duration) {
	d = min(d, math.MaxInt64/4) // more would overflow
	timer := time.NewTimer(d/2 + rand.N(d+1))
	defer timer.Stop()
	var gone <-chan struct{}
	if a.self != nil {
		gone = a.self.done
	}
	select {
	case <-timer.C:
	case <-gone:
	case <-a.ctx.Done():
	}
}

// hasEnded says whether a context has ended, also where the connection, which has the
// same deadline, has noticed a moment before.
func hasEnded(ctx context.Context) bool {
	if end, ok := ctx.Deadline(); ok && !time.Now().Before(end) {
		<-ctx.Done()
	}
	return ctx.Err() != nil
}

// failed makes the error of Acquire.
func (a *acquisition) failed(err error) error {
	e := &portalocker.LockError{Op: "acquire", Path: a.lock.channel, Err: err}
	ended := a.ctx != nil && hasEnded(a.ctx)
	switch {
	case ended && a.seen == "":
		e.Err = fmt.Errorf("%w: %s has not told yet who has the lock", redislock.ErrUnavailable, a.link.Address())
	case ended || errors.Is(err, portalocker.ErrAlreadyLocked):
		e.Err = fmt.Errorf("%w %s", portalocker.ErrAlreadyLocked, a.seen)
	case a.link != nil:
		e.Err = a.link.Explain(err)
	}
	if ended || !a.onlyOnce() && errors.Is(e.Err, portalocker.ErrAlreadyLocked) {
		e.Waited = time.Since(a.began)
	}
	if hasEnded(a.caller) {
		e.Cause = cause.Of(a.caller)
	}
	return e
}
