package model

// broken says what must never be.
func (m *queueModel) broken(w queueWorld) string {
	holders, alone := 0, 0
	for i, p := range w.procs {
		if p.life < killed && p.has&won != 0 || p.at == holding {
			if p.lock != 0 || p.at == holding {
				holders++
				if m.modes[i] == exclusive {
					alone++
				}
			}
		}
		if p.at == gone && w.tickets&(1<<i) != 0 {
			return "a ticket outlives its process"
		}
		if p.has&outOfTurn != 0 && m.prompt && m.crashes+m.stops+m.cancels == 0 {
			return "the lock was had out of turn"
		}
	}
	if alone > 1 || alone == 1 && holders > 1 {
		return "two hold the lock"
	}
	return ""
}

// quiet says who sleeps although the lock is to be had.
func (m *queueModel) quiet(w queueWorld) (wrong string, admitted bool) {
	held, exclusively := false, false
	for _, p := range w.procs {
		held = held || p.lock != 0
		exclusively = exclusively || p.lock == exclusive
	}
	sleepers, atFront, failed := 0, 0, int(w.failed)
	halfway := false
	for i, p := range w.procs {
		switch p.at {
		case freeing, changing, leaving, ringing, closing:
			halfway = halfway || p.life == stopped
		}
		if p.life == stopped && m.atFront(&w, i) {
			failed++
		}
		if p.at != asleep || p.life != running {
			continue
		}
		first := w.tickets&(1<<i-1) == 0 // else it may stand behind a writer
		if !held || first && m.modes[i] == shared && !exclusively {
			sleepers++
			if p.has&front != 0 {
				atFront++
			}
		}
	}
	switch {
	case sleepers == 0:
		return "", false
	case atFront == 0 && failed >= m.window:
		return "the whole front died or is stopped", true
	case halfway:
		return "one is stopped halfway through taking or leaving", true
	case held:
		return "a reader sleeps on beside readers", false
	}
	return "the lock is free and a waiter sleeps on", false
}
