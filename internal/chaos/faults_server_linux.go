package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// toServer does something to the server. While that is stopped, nothing else can be
// done to it, as it would not be known when that has worked.
func (in *injector) toServer(kind string) {
	if in.server.stopped {
		return
	}
	f := &fault{kind: kind, server: true}
	switch kind {
	case serverKilled, serverEnded:
		if !in.clockHasCaughtUp() {
			return
		}
		f.severs = true
		in.once(f, func() error {
			if kind == serverKilled {
				in.server.signal(syscall.SIGKILL)
			} else {
				in.server.signal(syscall.SIGTERM)
			}
			time.Sleep(in.between(0, ttl/2))
			return in.server.start()
		})
	case serverStops:
		in.begin(f, in.server.stop)
		in.lasts(f, in.between(10*time.Millisecond, ttl*3/2), in.server.resume)
	case clockAhead:
		f.severs = true // every lease runs out at once
		in.once(f, func() error {
			in.server.step(in.between(2*ttl, 10*time.Minute))
			return in.server.settle()
		})
	case clockBehind:
		in.once(f, func() error {
			in.server.step(-in.between(time.Millisecond, clockBack))
			return in.server.settle()
		})
	}
}

// clockHasCaughtUp waits until no fence is ahead of the server's clock, which was set
// back a little; see server.ahead.
func (in *injector) clockHasCaughtUp() bool {
	for range 100 {
		ahead, err := in.server.ahead()
		if err != nil {
			in.fail(fmt.Errorf("asking the server: %w", err))
			return false
		}
		if !ahead {
			return true
		}
		time.Sleep(20 * time.Millisecond)
	}
	return false
}

// toLink does something to the link of a worker.
func (in *injector) toLink(kind string, s *slot) {
	f := &fault{kind: kind, process: s.process.number, slot: s.number, server: true}
	switch kind {
	case linkCut, linkClosed:
		if in.server.stopped {
			return
		}
		if kind == linkCut {
			in.cut(s)
			return
		}
		f.severs, f.spares, f.process = true, true, 0
		in.once(f, func() error {
			err := in.server.rdb.Do(context.Background(), "CLIENT", "KILL", "TYPE", "pubsub").Err()
			return errors.Join(err, in.server.settle())
		})
	case linkDead:
		in.begin(f, func() error { s.proxy.HalfOpen(); return nil })
		in.lasts(f, in.between(10*time.Millisecond, 2*ttl), func() {
			s.proxy.Heal()
			in.cut(s) // what was open stays dead otherwise, and hangs who uses it next
		})
	case linkSlow:
		in.begin(f, func() error { s.proxy.Delay(in.between(ttl/20, ttl)); return nil })
		in.lasts(f, in.between(10*time.Millisecond, ttl), func() { s.proxy.Delay(0) })
	}
}

// cut resets the connections of a worker.
func (in *injector) cut(s *slot) {
	in.server.resume() // or it would not be known when the server has seen it
	f := &fault{kind: linkCut, process: s.process.number, slot: s.number, server: true, severs: true, spares: true}
	in.once(f, func() error {
		s.proxy.Cut()
		return in.server.settle()
	})
}
