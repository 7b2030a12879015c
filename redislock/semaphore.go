package redislock

import (
	"context"
	"fmt"
)

// Semaphore is a lock that up to a number of holders have at a time.
//
// It holds nothing itself: each Acquire takes one permit and gives a Lease. It is
// safe for goroutines.
type Semaphore struct{ mutex }

// NewSemaphore makes a semaphore of that name. All who use the name should give the
// same number of permits; where they do not, each is let in while there are fewer
// holders than its own number. A semaphore and a lock of one name exclude each
// other.
func (c *Client) NewSemaphore(name string, permits int, opts ...LockOption) *Semaphore {
	s := &Semaphore{newMutex(c, name, opts)}
	s.permits = permits
	switch {
	case s.err != nil:
	case permits < 1:
		s.err = fmt.Errorf("a semaphore of %d permits lets nobody in; give 1 or more", permits)
	}
	return s
}

// Acquire takes a permit; otherwise it is Lock.Acquire.
func (s *Semaphore) Acquire(ctx context.Context, opts ...LockOption) (*Lease, error) {
	return s.acquire(ctx, opts)
}

// Do takes a permit, runs fn, and gives the permit back; otherwise it is Lock.Do.
func (s *Semaphore) Do(ctx context.Context, fn func(ctx context.Context) error) error {
	return s.do(ctx, fn)
}
