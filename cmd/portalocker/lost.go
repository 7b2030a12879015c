package main

import (
	"fmt"
	"os"
	"time"
)

// leash ties a command to a lock that can be lost: it must not outlive that.
type leash struct {
	lease     lease
	killAfter time.Duration // from SIGTERM to SIGKILL
}

// lost is closed when the lock is lost; it is nil for a command without a leash.
func (l *leash) lost() <-chan struct{} {
	if l == nil {
		return nil
	}
	return l.lease.Context().Done()
}

// putDown ends a command whose lock is lost, and what the command has started, as
// far as the system tells: a shell that dies leaves the program that it waits for,
// and that one would work on without the lock. It gives what Wait said of the
// command.
func (c *child) putDown(p *os.Process, sigs *signals, ended <-chan error) (end error) {
	select {
	case end = <-ended: // by itself, at the same moment
		complain(c.std, fmt.Errorf("%w; the command had just ended", c.leash.lease.Err()))
		return end
	default:
	}
	after := c.leash.killAfter
	how := fmt.Sprintf("ending the command by SIGTERM, and by SIGKILL after %v", after)
	if after <= 0 || !canTerminate {
		how = "killing the command"
	}
	all := familyOf(p)
	var failed error
	if after > 0 {
		failed = all.terminate()
	}
	timer := time.NewTimer(after)
	defer timer.Stop()
	// Only now, as it may be that nobody reads it.
	complain(c.std, fmt.Errorf("%w; %s", c.leash.lease.Err(), how))
	c.report(failed)
	var rest <-chan struct{} // what the command has left behind
	killed := false
	for {
		select {
		case sig := <-sigs.c:
			if ended != nil {
				c.report(forward(sig, p))
			}
		case end = <-ended:
			if killed {
				return end
			}
			ended, rest = nil, all.rest()
		case <-rest:
			return end
		case <-timer.C:
			failed = all.kill()
			killed = true
			if after > 0 {
				complain(c.std, fmt.Errorf("the command has not ended %v after SIGTERM: killing it", after))
			}
			c.report(failed)
			if ended == nil {
				return end
			}
		}
	}
}

func (c *child) report(err error) {
	if err != nil {
		complain(c.std, err)
	}
}
