package model

import "github.com/portalocker/portalocker/internal/model/explore"

// Where a client of the Redis locks is with its request.
const (
	idle       uint8 = iota
	asking           // an acquire is under way
	waitingFor       // the server has said so; messages and the check interval wake it
	having
	giving     // a release is under way
	retracting // a cancel is under way
	ended      // the session is lost, or the process dead
)

// How far the command of a client is.
const (
	nothing uint8 = iota
	sent
	answered // and the answer is on its way
)

// What a client knows, and what happened to it.
const (
	known     uint8 = 1 << iota // the server has said that somebody else has the lock
	uncertain                   // the answer to a command was not had
	quits                       // the caller has given up, with a command under way
	frozen                      // stopped
	cut                         // its subscription is broken, and it has not noticed
	expired                     // by its own clock its lease is over
	hurries                     // it may have missed messages
	nearby                      // it is at the front, as far as it knows
)

type client struct {
	at, has  uint8
	command  uint8
	said     answer
	fence    uint8
	requests uint8 // how many it has made
	dead     uint8 // the process is
}

// redisWorld is a state of the model.
type redisWorld struct {
	server                          server
	clients                         [maxSessions]client
	granted                         [maxHolders]uint8 // fences in messages under way
	fronted                         uint8             // holders with such a message
	late, lateCancel                uint8             // holders with a command that comes late
	cuts, stops, kills, losses, end uint8             // how many there may still be
}

// redisCase is what happens to the clients.
type redisCase struct {
	requests                      [maxSessions]uint8 // how many each makes
	once                          uint8              // clients that try only once
	cuts, stops, kills, losses, e uint8
	leaseOnly                     bool
	shared                        uint8 // holders that share
	large                         bool
}

// clientRules is what the clients do and, as false, what they neglect.
type clientRules struct {
	scriptRules
	watchesClock bool // counts its lease from before the renewal, and looks before it believes
	takesBack    bool // asks for what it may have been given
	marksLate    bool // says that a command may come late, so that it is barred
	checks       bool // the front asks again at each check interval
	hurries      bool // asks again when the subscription is back
}

type redisModel struct {
	clientRules
	redisCase
}

func (m *redisModel) model() *explore.Model[redisWorld] {
	m.scriptRules.leaseOnly = m.redisCase.leaseOnly
	start := redisWorld{cuts: m.cuts, stops: m.stops, kills: m.kills, losses: m.losses, end: m.e}
	for i, n := range m.requests {
		if n > 0 {
			start.server.leases |= 1 << i
			start.server.subs |= 1 << i
		}
	}
	for h := range m.modes {
		m.modes[h] = exclusive
		if m.redisCase.shared&(1<<h) != 0 {
			m.modes[h] = shared
		}
	}
	return &explore.Model[redisWorld]{
		Start: []redisWorld{start}, Steps: m.steps, Broken: m.broken, Quiet: m.quiet, Limit: 2_000_000,
	}
}

// holder is a client's request, -1 for none.
func (c *client) holder(i int) int {
	if c.requests == 0 {
		return -1
	}
	return i*perSession + int(c.requests) - 1
}

// redisStep makes the steps of one state.
type redisStep struct {
	*redisModel
	world redisWorld
	do    func(explore.Step, redisWorld)
}

func (m *redisModel) steps(w redisWorld, do func(explore.Step, redisWorld)) {
	s := &redisStep{m, w, do}
	for i := range m.requests {
		if m.requests[i] == 0 {
			continue
		}
		s.network(i)
		s.time(i)
		s.faults(i)
		if c := &w.clients[i]; c.dead == 0 && c.has&frozen == 0 {
			s.act(i)
		}
	}
}

// emit is a step of client i: change says what it changes.
func (s *redisStep) emit(kind explore.Kind, i int, action string, change func(w *redisWorld, c *client)) {
	next := s.world
	c := &next.clients[i]
	change(&next, c)
	if c.at == ended {
		*c = client{at: ended, requests: c.requests, dead: c.dead}
	}
	s.do(explore.Step{Kind: kind, Actor: uint8(i), Action: action}, next)
}

// script runs on the server of w. What is published reaches those whose
// subscription is whole.
func (s *redisStep) script(w *redisWorld) *script {
	hears := func(holder int) bool {
		i := sessionOf(holder)
		c := &w.clients[i]
		return w.server.subs&(1<<i) != 0 && c.has&cut == 0 && c.holder(i) == holder && (c.at == asking || c.at == waitingFor)
	}
	return &script{
		scriptRules: &s.scriptRules, server: &w.server,
		grant: func(holder int, fence uint8) {
			if hears(holder) {
				w.granted[holder] = fence
			}
		},
		advance: func(holder int) {
			if hears(holder) {
				w.fronted |= 1 << holder
			}
		},
	}
}

// unanswered is what a client does without an answer.
func (s *redisStep) unanswered(c *client) {
	c.has |= uncertain
	c.command, c.said = nothing, answer{}
	switch {
	case c.at == asking && c.has&known != 0 && c.has&quits == 0:
		c.at = waitingFor
		c.has |= nearby // it does not know, and asks soon
	default:
		s.giveUp(c, true)
	}
}

// giveUp takes back what the server may know of the request.
func (s *redisStep) giveUp(c *client, entered bool) {
	if !s.takesBack || !entered {
		s.done(c)
		return
	}
	c.at, c.command, c.said = retracting, sent, answer{}
}

func (s *redisStep) done(c *client) {
	*c = client{at: idle, has: c.has & (frozen | cut | expired), requests: c.requests}
}

// act is what a running client does.
func (s *redisStep) act(i int) {
	w := &s.world
	c := &w.clients[i]
	if c.at == ended {
		return
	}
	if c.has&cut != 0 {
		s.emit(explore.Run, i, "notices that its subscription is broken", func(w *redisWorld, c *client) {
			if !s.redisCase.leaseOnly {
				s.end(w, i)
				return
			}
			c.has &^= cut
			w.server.subs |= 1 << i
			if s.hurries {
				c.has |= hurries
			}
		})
	}
	if c.has&expired != 0 {
		if s.watchesClock {
			s.emit(explore.Run, i, "notices that its lease is over", func(w *redisWorld, _ *client) { s.end(w, i) })
		}
		s.emit(explore.Run, i, "renews its lease, late", func(w *redisWorld, c *client) {
			if s.script(w).renew(i) {
				c.has &^= expired
			} else {
				s.end(w, i)
			}
		})
	}
	switch c.at {
	case idle:
		if c.requests < s.requests[i] {
			s.emit(explore.User, i, "asks for the lock", func(_ *redisWorld, c *client) {
				c.requests++
				c.at, c.command = asking, sent
			})
		}
	case asking:
		if c.command == answered {
			s.hear(i)
		}
		if w.end > 0 && c.has&quits == 0 {
			s.emit(explore.User, i, "gives up", func(w *redisWorld, c *client) { w.end--; c.has |= quits })
		}
	case waitingFor:
		s.wait(i)
	case having:
		s.emit(explore.User, i, "releases", func(_ *redisWorld, c *client) {
			c.at, c.command, c.fence = giving, sent, 0
		})
	case giving, retracting:
		if c.command == answered {
			s.emit(explore.Run, i, "hears that its "+commandOf(c.at)+" was done", func(_ *redisWorld, c *client) { s.done(c) })
		}
	}
}

// hear is the answer to an acquire.
func (s *redisStep) hear(i int) {
	said := s.world.clients[i].said
	action := map[uint8]string{
		saysGranted: "hears that it has the lock", saysWaiting: "hears that it must wait", saysLocked: "hears that it is locked",
		saysOver: "hears that its session is over", saysWithdrawn: "hears that it is refused",
	}[said.state]
	s.emit(explore.Run, i, action, func(w *redisWorld, c *client) {
		c.command, c.said = nothing, answer{}
		switch {
		case said.state == saysOver:
			s.end(w, i)
		case c.has&quits != 0:
			s.giveUp(c, true)
		case said.state == saysGranted:
			s.have(w, i, said.fence)
		case said.state == saysWaiting:
			c.at = waitingFor
			c.has |= known
			if c.has &^= nearby; int(said.place) < s.front {
				c.has |= nearby
			}
		default:
			s.giveUp(c, c.has&uncertain != 0)
		}
	})
}

// have makes a client a holder, unless its clock says no.
func (s *redisStep) have(w *redisWorld, i int, fence uint8) {
	c := &w.clients[i]
	if c.has&expired != 0 && s.watchesClock {
		s.end(w, i)
		return
	}
	h := c.holder(i)
	w.granted[h] = 0
	w.fronted &^= 1 << h
	c.at, c.fence = having, fence
	c.has &^= known | nearby | hurries
}

func (s *redisStep) wait(i int) {
	w := &s.world
	c := &w.clients[i]
	h := c.holder(i)
	ask := func(_ *redisWorld, c *client) {
		c.at, c.command = asking, sent
		c.has &^= hurries
	}
	if fence := w.granted[h]; fence != 0 {
		s.emit(explore.Run, i, "is told that it has the lock", func(w *redisWorld, _ *client) { s.have(w, i, fence) })
	}
	if w.fronted&(1<<h) != 0 {
		s.emit(explore.Run, i, "is told that it is at the front", func(w *redisWorld, c *client) {
			w.fronted &^= 1 << h
			c.has |= nearby
		})
	}
	if c.has&hurries != 0 {
		s.emit(explore.Run, i, "asks again, since it may have missed messages", ask)
	}
	if s.checks && c.has&nearby != 0 {
		s.emit(explore.Net, i, "asks again at its check interval", ask)
	} else {
		s.emit(explore.Net, i, "asks again, which it does rarely", ask)
	}
	if w.end > 0 {
		s.emit(explore.User, i, "gives up", func(w *redisWorld, c *client) { w.end--; s.giveUp(c, true) })
	}
}
