package model

import (
	"math/bits"

	"github.com/portalocker/portalocker/internal/model/explore"
)

// sleep is what can wake a process.
func (s *queueStep) sleep(i int) {
	p := s.world.procs[i]
	given := p.has&front != 0 && p.ahead > 0
	wake := func(kind explore.Kind, action string, has uint16) {
		q := p
		q.at = looking
		q.has = q.has&^hinted | has
		switch kind {
		case explore.Run:
			q.kernel &^= event | ring
		case explore.Net:
			q.has |= due
			q.tryAt = atNow
		case explore.Pause:
			if q.tryAt = atNow; !(given && p.tryAt == soon) {
				q.follow--
			}
		}
		s.emit(kind, i, action, q)
	}
	if p.kernel&event != 0 {
		wake(explore.Run, "reads an event of the file", hinted|told)
	}
	if p.kernel&ring != 0 {
		wake(explore.Run, "hears the bell", hinted|told|wasRung)
	}
	pauses := !(s.kernel && s.dying)
	switch {
	case given && p.tryAt == soon && s.givesWay:
		if pauses {
			wake(explore.Pause, "has given way", 0)
		}
	case p.follow > 0 && (!given || s.followsWay):
		// The last one comes so late that whoever runs has done what it was doing.
		if pauses && (p.follow > 1 || !s.busy) {
			wake(explore.Pause, "follows the hint up", 0)
		}
	default:
		wake(explore.Net, "wakes at its check interval", 0)
	}
	if s.world.cancel > 0 {
		q := p
		q.at = leaving
		s.emit(explore.User, i, "gives up", q, func(w *queueWorld) { w.cancel-- })
	}
}

// bury is what the kernel does for a process that was killed.
func (s *queueStep) bury(i int) {
	p := s.world.procs[i]
	switch p.life++; p.life {
	case unwatched:
		p.kernel = 0
		s.emit(explore.Run, i, "is dead: its files are closed", p, func(w *queueWorld) { s.closed(w) })
	case ticketless:
		s.emit(explore.Run, i, "is dead: its ticket vanishes", p, func(w *queueWorld) {
			if s.ticketsVanish {
				w.tickets &^= 1 << i
			}
		})
	case dead:
		p.at = gone
		s.emit(explore.Run, i, "is dead: its lock vanishes", p)
	}
}

// fault is what can be done to a process.
func (s *queueStep) fault(i int) {
	p, w := s.world.procs[i], &s.world
	if w.crashes+w.stops == 0 && p.life == running || p.at == away || p.at == gone || p.life >= killed {
		return
	}
	if w.crashes > 0 {
		q := p
		q.life = killed
		s.emit(explore.Fault, i, "is killed", q, func(w *queueWorld) {
			w.crashes--
			if s.atFront(w, i) {
				w.failed++
			}
		})
	}
	q := p
	switch {
	case p.life == stopped:
		q.life = running
		s.emit(explore.User, i, "is continued", q)
	case w.stops > 0:
		q.life = stopped
		s.emit(explore.Fault, i, "is stopped", q, func(w *queueWorld) { w.stops-- })
	}
}

// atFront says whether a process is one of those that take care of the others.
func (m *queueModel) atFront(w *queueWorld, i int) bool {
	return w.procs[i].at == ringing || w.tickets&(1<<i) != 0 && bits.OnesCount8(w.tickets&(1<<i-1)) < m.window
}

// closed tells those who watch the file.
func (s *queueStep) closed(w *queueWorld) {
	for j := range w.procs {
		if w.procs[j].kernel&watch != 0 {
			w.procs[j].kernel |= event
		}
	}
}

// ring rings for the first tickets from one on.
func (s *queueStep) ring(w *queueWorld, from int) {
	left := s.window
	for j := from; j < len(w.procs) && left > 0; j++ {
		if w.tickets&(1<<j) == 0 {
			continue
		}
		left--
		if w.procs[j].kernel&bell != 0 {
			w.procs[j].kernel |= ring
		}
	}
}

// forget clears what the process will never ask for again, so that states that
// differ in nothing else are one.
func (s *queueStep) forget(p waiter) waiter {
	switch {
	case p.at == gone:
		return waiter{at: gone, life: p.life, has: p.has & outOfTurn}
	case p.life >= killed:
		return waiter{at: p.at, life: p.life, kernel: p.kernel, lock: p.lock}
	case p.at == holding, p.at == closing:
		return waiter{at: p.at, life: p.life, has: p.has & (won | outOfTurn), lock: p.lock}
	case p.at == leaving, p.at == ringing:
		return waiter{at: p.at, life: p.life, has: p.has & (won | outOfTurn | front), kernel: p.kernel, lock: p.lock}
	}
	if p.at == asleep {
		p.has &^= hinted
	}
	if p.has&counted != 0 && p.ahead == 0 {
		p.first, p.tryAt = 0, 0
		p.has &^= due
	}
	if !s.followsWay {
		p.has &^= told
	}
	if p.at == looking && p.has&hinted != 0 {
		p.first, p.tryAt = 0, 0
	}
	if !s.prompt {
		p.before = 0
	}
	return p
}
