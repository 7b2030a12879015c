package model

// broken says what must never be.
func (m *redisModel) broken(w redisWorld) string {
	s := (&redisStep{redisModel: m}).script(&w)
	living, alone, top := 0, 0, uint8(0)
	for h, fence := range w.server.owners {
		if fence == 0 {
			continue
		}
		i := sessionOf(h)
		c := &w.clients[i]
		if s.alive(i) {
			living++
			top = max(top, fence)
			if m.modes[h] == exclusive {
				alone++
			}
			late := (w.late|w.lateCancel)&(1<<h) != 0
			if mine := c.holder(i) == h && c.at != idle; !mine && !late && c.at != ended {
				return "a ghost owns the lock"
			}
		}
	}
	if w.server.misgiven {
		return "a dead session was given the lock"
	}
	if alone > 1 || alone == 1 && living > 1 {
		return "two living sessions own the lock"
	}
	for i, c := range w.clients {
		if c.at != having || c.has&expired != 0 {
			continue
		}
		owns := w.server.owners[c.holder(i)] != 0 && s.alive(i)
		switch {
		case !owns && c.has&cut == 0 && w.server.subs&(1<<i) != 0:
			return "one believes that it has the lock, and nothing keeps the truth from it"
		case !owns && m.modes[c.holder(i)] == exclusive && top != 0 && c.fence >= top:
			return "one that has lost the lock has the greater fence"
		}
	}
	return ""
}

// quiet says who sleeps although the lock is to be had.
func (m *redisModel) quiet(w redisWorld) (wrong string, admitted bool) {
	s := (&redisStep{redisModel: m}).script(&w)
	sleepers, attentive, owned, records, deadAhead := 0, 0, false, 0, 0
	for h, fence := range w.server.owners {
		if fence != 0 {
			records++
			owned = owned || s.alive(sessionOf(h))
		}
	}
	for _, h := range w.server.queue {
		if h == 0 {
			break
		}
		i := sessionOf(int(h) - 1)
		c := &w.clients[i]
		switch {
		case c.at == waitingFor && c.has&frozen == 0 && s.alive(i):
			sleepers++
			if c.has&nearby != 0 && m.checks {
				attentive++
			}
		case c.at == ended || c.has&frozen != 0:
			deadAhead++
		}
	}
	for i, c := range w.clients {
		if h := c.holder(i); c.at == waitingFor && c.has&frozen == 0 && s.alive(i) && w.server.rank(h) < 0 {
			if w.server.owners[h] != 0 {
				if m.checks && c.has&nearby != 0 && c.has&uncertain != 0 {
					return "one that got no answer does not know that it has the lock", true
				}
				return "one does not know that it has the lock", false
			}
			return "one waits that the server does not know", false
		}
	}
	switch {
	case sleepers == 0 || owned:
		return "", false
	case records == 0 && deadAhead == 0:
		return "the lock is free and a waiter sleeps on", false
	case attentive > 0:
		return "a dead owner or waiter is found at the check interval", true
	case deadAhead >= m.front:
		return "as many as the front died", true
	}
	return "nobody looks for the dead owner soon", false
}
