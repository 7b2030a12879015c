package pywire

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/redislock"
)

// Lease is a lock that is held. It is safe for goroutines.
//
// It can be lost: when its connection breaks, also because another participant has cut
// it off for not answering, and when the server gives no sign of life for the
// unavailable timeout. Context and Lost tell of that as soon as this process knows;
// Err asks the clocks, and so knows first.
//
// It has no fence: the protocol knows none, so a store cannot tell a holder that does
// not know yet that it has lost the lock. If that matters use package redislock.
type Lease struct {
	channel string
	self    *participant
	link    *link
	ctx     context.Context
	cancel  context.CancelCauseFunc
	lost    chan struct{}
	watch   sync.WaitGroup

	mu  sync.Mutex
	err error // why the lock is not held any more; nil while it is
}

func newLease(a *acquisition) *Lease {
	l := &Lease{channel: a.lock.channel, self: a.self, link: a.link, lost: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancelCause(context.WithoutCancel(a.caller))
	l.watch.Go(l.wait)
	return l
}

// wait waits for the end of the participant, and cleans up after it.
func (l *Lease) wait() {
	<-l.self.done
	l.lose(l.self.err)
	l.link.abort() // an answer may be under way
	l.self.stop()
	l.link.close()
}

// Context ends when the lock is lost or released; context.Cause says which. It has
// the values of the context that was given to Acquire, and does not end with it.
func (l *Lease) Context() context.Context { return l.ctx }

// Lost is closed when the lock is lost. It stays open when the lock is released.
func (l *Lease) Lost() <-chan struct{} { return l.lost }

// Err is nil while the lock is held as far as this process can know at this moment:
// it looks at the clocks, also if the process was stopped until just now. Else it
// is redislock.ErrLost, or portalocker.ErrNotHeld after the release. A nil is no
// promise for the next moment.
func (l *Lease) Err() error {
	if err := l.self.check(); err != nil {
		l.lose(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		return nil
	}
	return &portalocker.LockError{Op: "hold", Path: l.channel, Err: l.err}
}

// Release gives the lock back. It always does, even if ctx has ended: ctx limits only
// how long Release waits for the server's confirmation, and without that the lock is
// free when the server sees the connection close. A second Release does nothing. The
// error is redislock.ErrLost if the lock had been lost, or says that there was no
// confirmation.
func (l *Lease) Release(ctx context.Context) error {
	if ctx == nil {
		ctx = context.Background()
	}
	if err := l.self.check(); err != nil {
		l.lose(err)
	}
	l.mu.Lock()
	err := l.err
	if err == nil {
		l.err = portalocker.ErrNotHeld
	}
	l.mu.Unlock()
	switch {
	case errors.Is(err, portalocker.ErrNotHeld):
		return nil
	case err == nil:
		l.cancel(portalocker.ErrNotHeld)
		if err = l.self.leave(ctx); err != nil {
			err = fmt.Errorf("the connection was closed, but the server has not confirmed it: the lock is free when it notices (%w)", l.link.Explain(err))
		}
	}
	l.watch.Wait()
	if err != nil {
		return &portalocker.LockError{Op: "release", Path: l.channel, Err: err}
	}
	return nil
}

// lose ends the lease, if it is held.
func (l *Lease) lose(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return
	}
	if !errors.Is(err, redislock.ErrLost) {
		err = fmt.Errorf("%w: %w", redislock.ErrLost, err)
	}
	l.err = err
	close(l.lost)
	l.cancel(err)
	l.self.logger.Warn("pywire: the lock is lost", "channel", l.channel, "id", l.self.id, "error", err)
}
