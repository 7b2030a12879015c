package model

import (
	"fmt"
	"math/bits"

	"github.com/portalocker/portalocker/internal/model/explore"
)

// maxWaiters is how many processes a world of the queue can have.
const maxWaiters = 4

// Where a process is in its one acquisition. Each value is a point between two
// system calls of acquire.go, wait.go and ticket_linux.go that others can notice.
const (
	away     uint8 = iota // has not come yet
	looking               // about to count the tickets before its own
	trying                // about to ask for the lock
	freeing               // a reader that got an exclusive lock: about to change it
	changing              // the same, when the old lock is gone and the new one not there
	queueing              // about to hang up a bell and take a ticket
	watching              // about to watch the file
	asleep
	leaving // about to give the ticket back
	ringing // about to ring for those who are at the front now
	holding
	closing // about to close the file
	gone
)

// How a process lives.
const (
	running uint8 = iota
	stopped
	killed     // the kernel has not told yet that the file is closed
	unwatched  // it has, and will drop the ticket
	ticketless // it has, and will drop the lock
	dead
)

// What a process has, and remembers.
const (
	outside   uint16 = 1 << iota // stands among the processes
	front                        // is near enough to the first to watch
	hinted                       // something may have changed since the last look
	told                         // something may have changed since the last try
	wasRung                      // the bell was rung, once
	due                          // it is time to try in any case
	counted                      // has looked at the queue
	won                          // has the lock
	outOfTurn                    // got it before somebody who was there before
)

// What the kernel keeps for a process.
const (
	watch uint8 = 1 << iota // an inotify watch on the file
	event                   // and an event that was not read
	bell                    // a bell
	ring                    // and a ring that was not heard
)

// When to try although others are before.
const (
	much     uint8 = iota // at the end of a check interval
	soon                  // when the others have been given way
	wayGiven              // now that they have been
	atNow                 // now
)

const (
	shared    uint8 = 1
	exclusive uint8 = 2
)

type waiter struct {
	has      uint16
	at, life uint8
	kernel   uint8
	ahead    uint8 // how many tickets were before, up to the window
	first    uint8 // whose the first of them was, plus 1
	tryAt    uint8
	follow   uint8 // how many follow-ups of a hint are left
	lock     uint8 // what it has of the kernel
	before   uint8 // who had a ticket when it came
	_        uint8 // no gap, so that states compare fast
}

// queueWorld is a state of the model: processes in the order in which they come.
type queueWorld struct {
	procs                  [maxWaiters]waiter
	tickets                uint8 // those that have one
	crashes, stops, cancel uint8 // how many there may still be
	failed                 uint8 // how many were killed when they were at the front
}

// queueRules is what the processes do and, as false or 0, what they neglect.
type queueRules struct {
	asks          bool  // takes the lock only if the kernel gives it
	looksFirst    bool  // a newcomer looks at the queue before it tries
	looksAgain    bool  // looks once more when it has a ticket or a watch
	givesWay      bool  // tries after some time although others are before
	followsUp     uint8 // looks so often again after a hint, as that may be early
	followsWay    bool  // also does so when it was not the first
	winnerRings   bool
	leaverRings   bool
	allRing       bool // one who gives up rings also if it does not know that it is at the front
	ticketsVanish bool // with their process
	window        int
	nudges        bool // a reader that wins wakes the next, who may be a reader
}

// queueCase is what happens to the processes.
type queueCase struct {
	modes   []uint8 // what each wants
	held    bool    // the first has it already
	crashes uint8
	stops   uint8
	cancels uint8
	prompt  bool // processes and the kernel are faster than any pause
	kernel  bool // the kernel is: it drops a dead process's locks before the first pause ends
	limit   int
	large   bool
}

type queueModel struct {
	queueRules
	queueCase
}

func (m *queueModel) model() *explore.Model[queueWorld] {
	start := queueWorld{crashes: m.crashes, stops: m.stops, cancel: m.cancels}
	if m.held {
		start.procs[0] = waiter{at: holding, has: won, lock: m.modes[0]}
	}
	return &explore.Model[queueWorld]{
		Start: []queueWorld{start}, Steps: m.steps, Broken: m.broken, Quiet: m.quiet, Limit: m.limit,
	}
}

// queueStep makes the steps of one state.
type queueStep struct {
	*queueModel
	world queueWorld
	do    func(explore.Step, queueWorld)
	busy  bool // a running process or the kernel is in the middle of something
	dying bool // the kernel is, with what the dead had
}

func (m *queueModel) steps(w queueWorld, do func(explore.Step, queueWorld)) {
	s := &queueStep{queueModel: m, world: w, do: do}
	if m.prompt {
		// No timer ends between the steps of those who run, and nobody releases.
		busy := false
		s.do = func(step explore.Step, next queueWorld) {
			busy = busy || step.Kind == explore.Run
			if step.Kind == explore.Run || w.procs[step.Actor].at == away {
				do(step, next)
			}
		}
		s.all()
		if busy {
			return
		}
		s.do = do
	}
	s.all()
}

func (s *queueStep) all() {
	w := &s.world
	for _, p := range w.procs {
		s.dying = s.dying || p.life >= killed && p.life != dead
		s.busy = s.busy || s.dying || p.life == running && p.at != away && p.at != asleep && p.at != holding && p.at != gone
	}
	for i := range s.modes {
		switch p := &w.procs[i]; {
		case p.life >= killed && p.life != dead:
			s.bury(i)
		case p.life == running:
			s.act(i)
		}
	}
	for i := range s.modes {
		if w.procs[i].at == asleep && w.procs[i].life == running {
			s.sleep(i)
		}
		s.fault(i)
	}
}

// emit is a step of process i that leaves the process as p is.
func (s *queueStep) emit(kind explore.Kind, i int, action string, p waiter, change ...func(*queueWorld)) {
	next := s.world
	next.procs[i] = s.forget(p)
	for _, f := range change {
		f(&next)
	}
	s.do(explore.Step{Kind: kind, Actor: uint8(i), Action: action}, next)
}

// act is what a running process does next.
func (s *queueStep) act(i int) {
	p, w := s.world.procs[i], &s.world
	switch p.at {
	case away:
		if i > 0 && w.procs[i-1].at == away {
			return // they are alike, so any order of arrival stands for all
		}
		p = waiter{at: looking, has: hinted | told, before: w.tickets}
		if !s.looksFirst {
			p.at = trying
		}
		s.emit(explore.User, i, "comes, and opens the file", p)
	case looking:
		s.look(i, p)
	case trying:
		s.try(i, p)
	case freeing:
		p.lock, p.at = 0, changing
		s.emit(explore.Run, i, "gives the exclusive lock up for a shared one", p)
	case changing:
		s.take(i, p, shared)
	case queueing:
		p.has |= outside | hinted | told
		p.has &^= due
		if p.has&front == 0 {
			p.kernel |= bell
		}
		p.at = looking
		if !s.looksAgain {
			p.at = asleep
		}
		if p.has&front != 0 {
			p.at = watching
		}
		s.emit(explore.Run, i, "takes a ticket", p, func(w *queueWorld) { w.tickets |= 1 << i })
	case watching:
		p.kernel, p.at = watch, looking
		p.has |= hinted | told
		if !s.looksAgain {
			p.at = asleep
		}
		s.emit(explore.Run, i, "watches the file", p)
	default:
		s.depart(i, p)
	}
}

// depart is what one does that has the lock, or has given up.
func (s *queueStep) depart(i int, p waiter) {
	switch p.at {
	case leaving:
		p.kernel &^= bell | ring
		if p.has&won == 0 {
			p.kernel = 0
		}
		p.at = s.afterLeaving(p)
		if s.world.tickets&(1<<i) != 0 && (p.has&front != 0 || p.has&won != 0 || s.allRing) {
			p.at = ringing
		}
		s.emit(explore.Run, i, "gives its ticket back", p, func(w *queueWorld) { w.tickets &^= 1 << i })
	case ringing:
		from := i
		if p.has&front != 0 || p.has&won == 0 {
			from = 0
		}
		rings := s.winnerRings && p.has&won != 0 || s.leaverRings && p.has&won == 0
		p.at = s.afterLeaving(p)
		s.emit(explore.Run, i, "rings for the front", p, func(w *queueWorld) {
			if rings {
				s.ring(w, from)
			}
			if s.nudges && s.modes[i] == shared && p.has&won != 0 {
				s.closed(w)
			}
		})
	case holding:
		p.at, p.lock = closing, 0
		s.emit(explore.User, i, "unlocks", p)
	case closing:
		p.at = gone
		s.emit(explore.Run, i, "closes the file", p, func(w *queueWorld) { s.closed(w) })
	}
}

func (s *queueStep) afterLeaving(p waiter) uint8 {
	if p.has&won != 0 {
		return holding
	}
	return closing
}

// look counts the tickets before, and settles what to do.
func (s *queueStep) look(i int, p waiter) {
	if p.has&counted == 0 || p.ahead > 0 { // once first, always first
		before := s.world.tickets & (1<<i - 1)
		first := uint8(0)
		if before != 0 {
			first = uint8(bits.TrailingZeros8(before)) + 1
		}
		n := min(bits.OnesCount8(before), s.window)
		if n < s.window || p.has&wasRung != 0 {
			p.has |= front
		}
		switch {
		case p.has&hinted != 0:
			p.tryAt = soon
			if n == 0 {
				p.tryAt = atNow
			}
		case first != p.first:
			p.tryAt = much
		}
		p.has |= counted
		p.ahead, p.first = uint8(n), first
	}
	switch {
	case p.ahead == 0,
		p.has&outside != 0 && p.has&front != 0 && p.has&due != 0,
		p.has&outside != 0 && p.tryAt == atNow:
		p.at = trying
	default:
		s.settle(&p)
	}
	s.emit(explore.Run, i, fmt.Sprintf("looks: %d before", p.ahead), p)
}

// settle is what a process does that does not have the lock and will not try now.
func (s *queueStep) settle(p *waiter) {
	switch {
	case p.has&outside == 0:
		p.at = queueing
	case p.has&front != 0 && p.kernel&watch == 0:
		p.at = watching
	default:
		p.at = asleep
	}
}

// try asks the kernel for the lock.
func (s *queueStep) try(i int, p waiter) {
	mode := s.modes[i]
	if p.ahead > 0 {
		mode = exclusive
	}
	s.take(i, p, mode)
}

func (s *queueStep) take(i int, p waiter, mode uint8) {
	for j, other := range s.world.procs {
		if s.asks && j != i && other.lock != 0 && (mode == exclusive || other.lock == exclusive) {
			if p.has&outside != 0 && (p.has&hinted != 0 || s.followsWay && p.has&told != 0) {
				p.follow = s.followsUp
			}
			p.has &^= due | told
			p.tryAt = much
			s.settle(&p)
			s.emit(explore.Run, i, "tries, in vain", p)
			return
		}
	}
	p.lock = mode
	if mode == exclusive && s.modes[i] == shared {
		p.at = freeing
		s.emit(explore.Run, i, "has an exclusive lock, and wants a shared one", p)
		return
	}
	for j, other := range s.world.procs {
		if p.before&(1<<j) != 0 && other.life == running && other.at >= looking && other.at <= asleep {
			p.has |= outOfTurn
		}
	}
	p.at = leaving
	p.has |= won
	s.emit(explore.Run, i, "has the lock", p)
}
