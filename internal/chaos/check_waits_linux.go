package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/portalocker/portalocker"
)

const (
	// slack is what a wake-up may take on any machine; what timers say of this one in
	// that time is added, several times over, since a hand-over takes several turns of
	// the scheduler.
	slack       = time.Second
	lateFactor  = 4
	netGrowth   = 60 // of the safety net, in check intervals: wait.go
	clockBack   = 500 * time.Millisecond
	netInterval = portalocker.DefaultCheckInterval
)

// checkWaits checks that nobody slept while the lock that it waited for was free, for
// longer than the safety net, and gives for each kind how long the longest such wait was.
//
// A lock is free when nobody holds it, or may hold it without having said so: a process
// that has stopped, or was killed and is not quite dead yet. It is idle since the last
// time that anything happened to it, be it that a waiter gave up or was stopped. For
// locks on the server every fault of the server, and every one of a process that has to
// do with the lock, begins that anew.
func (h *history) checkWaits() map[string]time.Duration {
	longest := map[string]time.Duration{}
	byLock := map[*kind][]*operation{}
	for _, o := range h.operations {
		if !o.lock.free {
			byLock[o.lock] = append(byLock[o.lock], o)
		}
	}
	for k, all := range byLock {
		line := h.timeline(k, all)
		w := waits{history: h, kind: k}
		for _, c := range line {
			w.look(c.at)
			c.do(&w)
		}
		longest[k.name] = w.longest
	}
	return longest
}

// change is a moment of a lock's history.
type change struct {
	at int64
	do func(w *waits)
}

// waits is a lock at one moment of its history.
type waits struct {
	*history
	kind    *kind
	holders map[*operation]bool
	waiting []*operation
	stopped int   // processes that are stopped and ask for the lock, or hold it
	idle    int64 // since when nothing has happened
	longest time.Duration
}

// timeline is the history of a lock, moment by moment.
func (h *history) timeline(k *kind, all []*operation) (line []change) {
	at := func(at int64, do func(w *waits)) {
		if at != never {
			line = append(line, change{at, do})
		}
	}
	touch := func(t int64) { at(t, func(w *waits) { w.idle = max(w.idle, t) }) }
	concerned := map[int]bool{} // the slots that have to do with the lock
	for _, o := range all {
		at(o.asked, func(w *waits) { w.waiting = append(w.waiting, o) })
		if o.granted != never {
			at(o.granted, func(w *waits) { w.leave(o, o.granted); w.hold(o) })
		}
		gone := o.gone()
		at(gone, func(w *waits) { w.leave(o, gone) })
		for _, s := range o.process.stops {
			if s.from < gone && o.asked < s.to {
				at(max(s.from, o.asked), func(w *waits) { w.stopped++ })
				at(s.to, func(w *waits) { w.stopped--; w.idle = max(w.idle, s.to) })
			}
		}
		concerned[o.process.slot] = true
	}
	for _, f := range h.faults {
		if k.liveness == "" || !f.server {
			continue
		}
		if f.process == 0 || concerned[f.slot] {
			touch(f.from)
			touch(f.done)
			touch(f.to)
		}
	}
	slices.SortStableFunc(line, func(a, b change) int { return cmp.Compare(a.at, b.at) })
	return line
}

func (w *waits) hold(o *operation) {
	if w.holders == nil {
		w.holders = map[*operation]bool{}
	}
	w.holders[o] = true
}

// leave takes an operation out of its queue, or its hold. That a single try did not
// get the lock is nothing that happens to others.
func (w *waits) leave(o *operation, at int64) {
	had := w.holders[o]
	delete(w.holders, o)
	w.waiting = slices.DeleteFunc(w.waiting, func(other *operation) bool { return other == o })
	if had || !o.once {
		w.idle = max(w.idle, at)
	}
}

// look looks at the time since the last change.
func (w *waits) look(now int64) {
	if w.stopped > 0 || len(w.holders) >= w.kind.capacity() {
		return
	}
	for _, o := range w.waiting {
		if o.once || o.process.dead <= now {
			continue
		}
		since := max(w.idle, o.asked)
		free := time.Duration(now - since)
		w.longest = max(w.longest, free)
		if free <= w.limit(o, since) || free <= w.limit(o, since)+lateFactor*w.lateIn(since, now) {
			continue
		}
		w.add(violation{check: "lost wake-up", lock: w.kind.name, at: now,
			text:  fmt.Sprintf("%v waited for %v, while the lock was free for the last %v of it", o, time.Duration(now-o.asked), free),
			proof: w.around(w.kind, since-50e6, now, o)})
		w.idle = now // once is enough
	}
}

// limit is how long somebody may wait for a lock that is free since then.
func (w *waits) limit(o *operation, since int64) time.Duration {
	switch {
	case w.kind.liveness != "":
		// Whom the server has given the lock may be cut off, and lose it when its lease
		// runs out; and what could not be taken back at once is given up after as long.
		return 2*ttl + clockBack + netInterval + slack
	case w.kind.ordered:
		waited := time.Duration(since - o.asked)
		return netInterval + max(netInterval, min(waited/2, netGrowth*netInterval)) + slack
	}
	return 2*netInterval + slack
}
