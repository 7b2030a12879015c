package redislock

import (
	"context"
	"errors"
	"sync"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/cause"
	"github.com/portalocker/portalocker/internal/redisconn"
)

// Lease is a lock that is held. It is safe for goroutines.
//
// It can be lost: when the connection to the server breaks, when the process or the
// link is stopped for longer than the TTL of the lease, when the server loses its
// data. Context and Lost tell of that as soon as this process knows; Err asks the
// clocks, and so knows first.
type Lease struct {
	lock    *mutex
	session *session
	waiter  *waiter
	holder  string
	fence   int64
	ctx     context.Context
	cancel  context.CancelCauseFunc
	lost    chan struct{}

	mu  sync.Mutex
	err error // why the lock is not held any more; nil while it is
}

func newLease(ctx context.Context, m *mutex, s *session, w *waiter, fence int64) *Lease {
	l := &Lease{lock: m, session: s, waiter: w, holder: w.holder, fence: fence, lost: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	return l
}

// Fence is a number that is greater than that of every holder of this lock before.
// Send it along with every write: a store that remembers the greatest fence it has
// seen can refuse the writes of a holder that does not know yet that it has lost
// the lock.
func (l *Lease) Fence() int64 { return l.fence }

// Context ends when the lock is lost or released; context.Cause says which. It has
// the values of the context that was given to Acquire, and does not end with it.
func (l *Lease) Context() context.Context { return l.ctx }

// Lost is closed when the lock is lost. It stays open when the lock is released.
func (l *Lease) Lost() <-chan struct{} { return l.lost }

// Err is nil while the lock is held as far as this process can know at this moment:
// it looks at the clocks, also if the process was stopped until just now. Else it
// is ErrLost, or portalocker.ErrNotHeld after the release. A nil is no promise for
// the next moment; what must never happen twice needs the Fence.
func (l *Lease) Err() error {
	l.look()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		return nil
	}
	return &portalocker.LockError{Op: "hold", Path: l.lock.name, Err: l.err}
}

// Release gives the lock back, to the first in the queue. It always does, even if
// ctx has ended: a ctx that ends limits only how long Release waits for the server's
// answer, and one that had ended before limits nothing. A second Release does
// nothing. The error is ErrLost if the lock had been lost. On any other error the
// lock will be free as soon as the server can be reached, or at the end of the
// lease.
func (l *Lease) Release(ctx context.Context) error {
	if ctx == nil {
		ctx = context.Background()
	}
	l.look()
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
		err = l.release(ctx)
	}
	if err != nil {
		return &portalocker.LockError{Op: "release", Path: l.lock.name, Err: err}
	}
	return nil
}

func (l *Lease) release(ctx context.Context) error {
	s, conn := l.session, l.session.conn
	run := func() error {
		select {
		case conn.Back() <- struct{}{}:
			defer conn.EndBack() // what takeBack does in the background waits for its own
		case <-s.done:
			return s.check() // the session has taken it along
		}
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), conn.Answer())
		defer cancel()
		held, err := releaseScript().Run(limited, conn, l.lock.keys, s.place, l.holder, s.key, l.waiter.bar()).Int()
		switch {
		case err != nil:
			if !redisconn.Final(err) {
				l.waiter.uncertain.Store(true)
			}
			over, cancel := context.WithCancel(context.Background())
			cancel()
			s.takeBack(over, l.lock.keys, l.waiter)
			return conn.Explain(err)
		case held == 0:
			if err = s.check(); err == nil { // it may have ended just now
				err = errVanished
			}
		}
		s.leave(l.holder)
		return err
	}
	if ctx.Done() == nil || ctx.Err() != nil {
		return run()
	}
	came := make(chan error, 1)
	if !s.spawn(func() { came <- run() }) {
		return run()
	}
	select {
	case err := <-came:
		return err
	case <-ctx.Done():
		return cause.Of(ctx)
	}
}

// look finds out whether the lease is over. It does not leave that to the end of the
// session, which tells one lease after the other and may not have come to this one.
func (l *Lease) look() {
	if err := l.session.check(); err != nil {
		l.lose(err)
	}
}

// vanished tells that the server has no record of the lease.
func (l *Lease) vanished() {
	if l.lose(errVanished) {
		l.session.leave(l.holder)
	}
}

// lose ends the lease, if it is held, and says whether it was.
func (l *Lease) lose(err error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return false
	}
	l.err = err
	close(l.lost)
	l.cancel(err)
	return true
}
