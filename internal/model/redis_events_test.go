package model

import "github.com/portalocker/portalocker/internal/model/explore"

// network is what the server does with commands and connections.
func (s *redisStep) network(i int) {
	c := &s.world.clients[i]
	h := c.holder(i)
	if c.command == sent {
		s.emit(explore.Run, i, "has the server run its "+commandOf(c.at), func(w *redisWorld, c *client) {
			c.command = answered
			switch c.at {
			case asking:
				c.said = s.script(w).acquire(h, s.once&(1<<i) == 0)
			default:
				s.script(w).withdraw(h, s.marksLate && c.has&uncertain != 0)
			}
		})
	}
	for h := i * perSession; h < (i+1)*perSession; h++ {
		if s.world.late&(1<<h) != 0 {
			s.emit(explore.Run, i, "has a late acquire run", func(w *redisWorld, c *client) {
				w.late &^= 1 << h
				s.script(w).acquire(h, s.once&(1<<i) == 0)
			})
		}
		if s.world.lateCancel&(1<<h) != 0 {
			s.emit(explore.Run, i, "has a late cancel run", func(w *redisWorld, c *client) {
				w.lateCancel &^= 1 << h
				s.script(w).withdraw(h, s.marksLate && c.has&uncertain != 0)
			})
		}
	}
	if s.world.server.subs&(1<<i) != 0 && (c.at == ended || c.has&cut != 0) {
		s.emit(explore.Run, i, "is seen to have hung up", func(w *redisWorld, c *client) { w.server.subs &^= 1 << i })
	}
}

func commandOf(at uint8) string {
	return map[uint8]string{asking: "acquire", giving: "release", retracting: "cancel"}[at]
}

// time is what clocks do. A session that nothing is wrong with renews its lease in
// time, and its own clock ends a lease before that of the server does.
func (s *redisStep) time(i int) {
	c := &s.world.clients[i]
	late := c.has&(frozen|cut) != 0
	if late && c.has&expired == 0 && c.at != ended {
		s.emit(explore.User, i, "has its lease run out, by its own clock", func(_ *redisWorld, c *client) { c.has |= expired })
	}
	if s.world.server.leases&(1<<i) != 0 && (c.at == ended || c.has&expired != 0 || late && !s.watchesClock) {
		s.emit(explore.User, i, "has its lease run out, by the server's", func(w *redisWorld, _ *client) { w.server.leases &^= 1 << i })
	}
}

func (s *redisStep) faults(i int) {
	w := &s.world
	c := &w.clients[i]
	if c.has&frozen != 0 {
		s.emit(explore.User, i, "is continued", func(_ *redisWorld, c *client) { c.has &^= frozen })
	}
	if c.at == ended || c.at == idle {
		return // what happens to one who wants nothing is nobody's business
	}
	if w.kills > 0 {
		s.emit(explore.Fault, i, "is killed", func(w *redisWorld, c *client) {
			w.kills--
			s.end(w, i)
			c.dead = 1
		})
	}
	if w.stops > 0 && c.has&frozen == 0 {
		s.emit(explore.Fault, i, "is stopped", func(w *redisWorld, c *client) { w.stops--; c.has |= frozen })
	}
	if w.cuts > 0 && c.has&cut == 0 {
		s.emit(explore.Fault, i, "has its subscription cut", func(w *redisWorld, c *client) {
			w.cuts--
			c.has |= cut
			s.deafen(w, i)
		})
	}
	if w.losses > 0 && c.command != nothing {
		s.emit(explore.Fault, i, "gets no answer to its "+commandOf(c.at), func(w *redisWorld, c *client) {
			w.losses--
			s.unanswered(c)
		})
		if c.command == sent {
			s.emit(explore.Fault, i, "gets no answer to its "+commandOf(c.at)+", which comes late", func(w *redisWorld, c *client) {
				w.losses--
				s.lag(w, i)
				s.unanswered(c)
			})
		}
	}
}

// deafen loses the messages that are on their way to a client.
func (s *redisStep) deafen(w *redisWorld, i int) {
	for h := i * perSession; h < (i+1)*perSession; h++ {
		w.granted[h] = 0
		w.fronted &^= 1 << h
	}
}

// lag leaves a client's command in the network.
func (s *redisStep) lag(w *redisWorld, i int) {
	c := &w.clients[i]
	switch {
	case c.command != sent:
	case c.at == asking:
		w.late |= 1 << c.holder(i)
	default:
		w.lateCancel |= 1 << c.holder(i)
	}
}

// end ends the session on the client's side.
func (s *redisStep) end(w *redisWorld, i int) {
	s.lag(w, i)
	s.deafen(w, i)
	w.clients[i].at = ended
}
