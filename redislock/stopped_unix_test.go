//go:build unix

package redislock_test

import (
	"strings"
	"testing"
	"time"

	"github.com/portalocker/portalocker/internal/redistest"
	"github.com/portalocker/portalocker/redislock"
)

// TestHolderStopped: a process that was stopped for longer than its lease finds at
// its first look that the lock is lost, and its fence is smaller than that of the
// next holder.
func TestHolderStopped(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	for _, by := range []redislock.Liveness{redislock.Connected, redislock.LeaseOnly} {
		t.Run(string(by), func(t *testing.T) {
			t.Parallel()
			p := startLocker(t, s.Addr(), ttl, by)
			name := string(by)
			p.Say("acquire " + name)
			fence := holds(t, p)
			p.Say("err")
			if said := p.Expect("err"); said != "<nil>" {
				t.Fatalf("before it is stopped: %s", said)
			}
			p.Stop()
			began := time.Now()
			l := acquire(t, newClient(t, s.Addr()).NewLock(name), forever)
			t.Logf("with a lease of %v the next holds after %v", ttl, time.Since(began).Round(time.Millisecond))
			if l.Fence() <= fence {
				t.Errorf("fence %d after %d", l.Fence(), fence)
			}
			p.Say("err") // it is there when the process runs again
			p.Continue()
			if said := p.Expect("err"); !strings.Contains(said, "the lock is lost") {
				t.Errorf("the first look says %s", said)
			}
			p.Say("context")
			if said := p.Expect("ended"); !strings.Contains(said, "the lock is lost") {
				t.Errorf("the context ended by %s", said)
			}
			p.Say("release")
			if said := p.Expect("released"); !strings.Contains(said, "the lock is lost") {
				t.Errorf("Release says %s", said)
			}
			if l.Err() != nil {
				t.Error("the release of the lost lock took the present one")
			}
			p.Say("acquire another") // by a new session
			holds(t, p)
			release(t, l)
			must(t, p.Wait())
		})
	}
}
