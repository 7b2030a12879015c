package redislock

import "time"

// The scripts, for tests that run them in an order that a client cannot bring about.
var (
	AcquireScript = acquireScript()
	CancelScript  = cancelScript()
	ReleaseScript = releaseScript()
	RenewScript   = renewScript()
)

// RenewEvery is the time between two renewals.
var RenewEvery = renewEvery

// ForgetAfter is after which time the server forgets what nobody refreshes.
const ForgetAfter = forgetAfter * time.Second

// Front is how many waiters check at every interval.
const Front = front

// KeysOf are the keys of a lock.
func KeysOf(name string) []string { return keysOf(name) }

// Answered is how many waiters the server has answered: whatever happens to the link
// from then on, they wait.
func (c *Client) Answered() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.sessions {
		select {
		case <-o.ready:
		default:
			continue
		}
		o.session.mu.Lock()
		for _, w := range o.session.waiters {
			if w.entered.Load() {
				n++
			}
		}
		o.session.mu.Unlock()
	}
	return n
}

// WithIdleAfter sets after which time a session that nobody uses is closed.
func WithIdleAfter(d time.Duration) Option {
	return func(s *clientSettings) { s.idle = d }
}
