package model

// The Lua scripts of redislock, written once more in Go: small enough to be tried
// in every order. TestScriptsAgree keeps the two alike.

const (
	maxSessions = 3
	perSession  = 2 // requests that a session makes, one after the other
	maxHolders  = maxSessions * perSession
)

// sessionOf is the session of a holder.
func sessionOf(holder int) int { return holder / perSession }

// server is what Redis knows.
type server struct {
	leases uint8             // sessions whose key is there
	subs   uint8             // sessions whose channel has a subscriber
	owners [maxHolders]uint8 // the fence of those who own the lock; 0 for others
	queue  [maxHolders]uint8 // holders in order of arrival, each plus 1
	barred uint8             // holders whose requests are refused
	last   uint8             // the last fence

	misgiven bool // the lock was given to a dead session
}

// scriptRules is what the scripts do and, as false or 0, what they neglect.
type scriptRules struct {
	leaseOnly   bool // sessions live by their lease alone; no neglect, but a setting
	front       int
	limits      [maxHolders]uint8 // for permits
	modes       [maxHolders]uint8
	asksAlive   bool // a lock is not given to a dead session
	reaps       bool
	queues      bool // a newcomer does not pass those who wait
	tellsGrant  bool
	tellsFront  bool
	dropsOwner  bool // cancel takes a lock back that was just given
	bars        bool
	handsOn     bool // release and cancel give the lock to the next
	fenceGrows  bool
	renewsALive bool // a session that is over stays over
}

// permit is the mode of a semaphore; the others are those of files.
const permit uint8 = 3

// What acquire answers.
const (
	saysGranted uint8 = iota + 1
	saysWaiting
	saysLocked
	saysOver
	saysWithdrawn
)

type answer struct{ state, fence, place uint8 }

// script is one run of a script: an atomic step of the server.
type script struct {
	*scriptRules
	*server
	grant   func(holder int, fence uint8) // publishes that
	advance func(holder int)              // publishes that the holder is at the front
}

func (s *script) alive(session int) bool {
	return s.leases&(1<<session) != 0 && (s.leaseOnly || s.subs&(1<<session) != 0)
}

func (s *server) waiting() (n int) {
	for n < maxHolders && s.queue[n] != 0 {
		n++
	}
	return n
}

// rank is a holder's place in the queue, -1 for none.
func (s *server) rank(holder int) int {
	for i, h := range s.queue {
		if int(h) == holder+1 {
			return i
		}
	}
	return -1
}

func (s *script) fits(holder int) bool {
	n, mode := 0, uint8(0)
	for h, fence := range s.owners {
		if fence != 0 {
			n, mode = n+1, s.modes[h]
		}
	}
	limit := int(s.limits[holder])
	switch {
	case n == 0:
		return true
	case s.modes[holder] == exclusive, limit > 0 && n >= limit:
		return false
	}
	return mode == s.modes[holder]
}

func (s *script) reap() (found bool) {
	for h, fence := range s.owners {
		if s.reaps && fence != 0 && !s.alive(sessionOf(h)) {
			s.owners[h] = 0
			found = true
		}
	}
	return found
}

func (s *script) own(holder int) uint8 {
	s.misgiven = s.misgiven || !s.alive(sessionOf(holder))
	if s.fenceGrows || s.last == 0 {
		s.last++
	}
	s.owners[holder] = s.last
	return s.last
}

func (s *script) leave(holder int) int {
	at := s.rank(holder)
	if at < 0 {
		return 0
	}
	copy(s.queue[at:], s.queue[at+1:])
	s.queue[maxHolders-1] = 0
	return 1
}

func (s *script) settle(left int) {
	served := false
loop:
	for s.queue[0] != 0 {
		holder := int(s.queue[0]) - 1
		switch {
		case s.asksAlive && !s.alive(sessionOf(holder)):
			left += s.leave(holder)
		case s.fits(holder):
			fence := s.own(holder)
			left += s.leave(holder)
			if s.tellsGrant {
				s.grant(holder, fence)
			}
			served = true
			if s.modes[holder] == exclusive {
				break loop
			}
		case served || !s.reap():
			break loop
		}
	}
	if left == 0 || !s.tellsFront {
		return
	}
	for i := max(s.front-left, 0); i < min(s.front, s.waiting()); i++ {
		s.advance(int(s.queue[i]) - 1)
	}
}

func (s *script) acquire(holder int, wait bool) answer {
	if fence := s.owners[holder]; fence != 0 {
		return answer{state: saysGranted, fence: fence}
	}
	if s.asksAlive && !s.alive(sessionOf(holder)) {
		return answer{state: saysOver}
	}
	if s.rank(holder) < 0 {
		if s.barred&(1<<holder) != 0 {
			return answer{state: saysWithdrawn}
		}
		if s.queue[0] != 0 && !wait {
			s.settle(0)
		}
		if (s.queue[0] == 0 || !s.queues) && (s.fits(holder) || s.reap() && s.fits(holder)) {
			return answer{state: saysGranted, fence: s.own(holder)}
		}
		if !wait {
			return answer{state: saysLocked}
		}
		s.queue[s.waiting()] = uint8(holder) + 1
		return answer{state: saysWaiting, place: uint8(s.rank(holder))}
	}
	s.settle(0)
	if fence := s.owners[holder]; fence != 0 {
		return answer{state: saysGranted, fence: fence}
	}
	return answer{state: saysWaiting, place: uint8(s.rank(holder))}
}

func (s *script) withdraw(holder int, bar bool) (held bool) {
	place := s.rank(holder)
	s.leave(holder)
	if held = s.owners[holder] != 0; s.dropsOwner {
		s.owners[holder] = 0
	}
	if bar && s.bars {
		s.barred |= 1 << holder
	}
	left := 0
	if place >= 0 && place < s.front {
		left = 1
	}
	if s.handsOn {
		s.settle(left)
	}
	return held
}

// renew prolongs a lease, and says whether the session is alive.
func (s *script) renew(session int) bool {
	if s.renewsALive && !s.alive(session) {
		s.leases &^= 1 << session
		return false
	}
	s.leases |= 1 << session
	return true
}

// status shows the living, and cleans up behind the dead.
func (s *script) status() {
	s.reap()
	s.settle(0)
	left := 0
	for _, h := range s.queue {
		if h != 0 && !s.alive(sessionOf(int(h)-1)) {
			left += s.leave(int(h) - 1)
		}
	}
	if left > 0 {
		s.settle(left)
	}
}
