package redislock_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"
)

// The model of a lock, for porcupine: at any moment it has a set of holders that
// may hold it together, and each grant has a greater fence than all before.
//
// A hold is two operations. "take" is the call of Acquire: somewhere between its
// call and its return the server made the grant. "end" is the end of the hold. It
// lies at or after the last time at which the holder is known to have believed in
// it, that is: called Err and got nil. Nothing is promised to somebody who does not
// look, so it may lie right there; and if it may, then it does, since an early end
// is in nobody's way. (Were it left open, porcupine would try every order of all
// ends.) But a Release that the server has confirmed shows that the hold was whole
// until then, and ends before Release returns.
//
// So the history of a holder that was stopped, or whose link went dead, gets no
// exception at all: the lease runs out on its own clocks before the server gives
// the lock to another. The one thing that ends a hold before its holder can know
// is a fault by which the server sees the connection close, or loses its data: such
// a hold ends when the fault begins. That its holder learns of it within the TTL is
// checked elsewhere: see lateBelief.

// step is the input of an operation of the model.
type step struct {
	op   *operation
	ends bool
}

// state is a lock between two operations. It is comparable, as porcupine needs it.
type state struct {
	fence   int64
	mode    string
	count   int
	holders string // " HOLDER HOLDER "
}

var lockModel = porcupine.Model{
	Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
		byLock := map[string][]porcupine.Operation{}
		for _, o := range all {
			name := o.Input.(step).op.lock
			byLock[name] = append(byLock[name], o)
		}
		var parts [][]porcupine.Operation
		for _, name := range historyLocks {
			parts = append(parts, byLock[name])
		}
		return parts
	},
	Init: func() any { return state{holders: " "} },
	Step: func(before, input, _ any) (bool, any) { return before.(state).after(input.(step)) },
	DescribeOperation: func(input, _ any) string {
		s := input.(step)
		if s.ends {
			return fmt.Sprintf("end %s", s.op.holder)
		}
		return fmt.Sprintf("take %s %s, fence %d", s.op.mode, s.op.holder, s.op.fence)
	},
	DescribeState: func(s any) string {
		return fmt.Sprintf("%s:%s last fence %d", s.(state).mode, s.(state).holders, s.(state).fence)
	},
}

// after is the state after a step, false if the step is not possible.
func (s state) after(by step) (bool, state) {
	o := by.op
	me := " " + o.holder + " "
	if by.ends {
		if !strings.Contains(s.holders, me) {
			return false, s
		}
		s.count--
		s.holders = strings.Replace(s.holders, me, " ", 1)
		return true, s
	}
	together := s.count == 0 ||
		o.mode == s.mode && o.mode != "exclusive" && (o.limit == 0 || s.count < o.limit)
	if !together || o.fence <= s.fence {
		return false, s
	}
	return true, state{fence: o.fence, mode: o.mode, count: s.count + 1, holders: s.holders + o.holder + " "}
}

// forPorcupine makes the operations of the model from the holds of a history.
func (h *history) forPorcupine(faults []fault) []porcupine.Operation {
	var all []porcupine.Operation
	for _, o := range h.operations {
		if o.result != granted {
			continue
		}
		call := h.mayEnd(o, faults)
		back := max(call, o.back)
		if o.released != never {
			back = o.released
			if !slices.ContainsFunc(faults, func(f fault) bool { return f.lock != "" && h.hits(f, o) }) {
				call = o.release
			}
		}
		row := 2 * (o.process*hands + o.number%hands)
		all = append(all,
			porcupine.Operation{ClientId: row, Input: step{o, false}, Call: o.call, Return: o.back},
			porcupine.Operation{ClientId: row + 1, Input: step{o, true}, Call: call, Return: back})
	}
	return all
}

// mayEnd is the time from which on a hold that was not released may have ended.
func (h *history) mayEnd(o *operation, faults []fault) int64 {
	end := o.belief
	for _, f := range faults {
		if f.severs && h.hits(f, o) {
			end = min(end, f.from)
		}
	}
	return max(end, o.call)
}

// hits says whether a fault concerns a hold.
func (h *history) hits(f fault, o *operation) bool {
	switch {
	case f.process != 0 && f.process != o.process:
		return false
	case f.session != "" && f.session != o.session:
		return false
	case f.lock != "":
		return f.lock == o.lock && f.to >= o.call
	}
	return h.sessions[o.session] <= f.to
}

// check runs the checks that need the whole history.
func (h *history) check(v *verdict, faults []fault, w *watch, ttl int64) (porcupine.CheckResult, []porcupine.Operation) {
	for _, f := range h.wrong {
		v.add(f.check, f.at, "%s", f.text)
	}
	h.fencesGrow(v)
	h.lateBelief(v, faults, ttl)
	h.expired(v, faults, w)
	h.vanished(v, faults)
	h.recordsAgree(v, faults, w)
	h.deadInTheWay(v, w)
	h.released(v, w)
	all := h.forPorcupine(faults)
	result := porcupine.CheckOperationsTimeout(lockModel, all, checkTimeout)
	if result != porcupine.Ok {
		v.add("linearizable", clock(), "porcupine says: %s", result)
	}
	return result, all
}

// fencesGrow checks that a hold which was called for when another one had been
// granted has the greater fence. The model says so too; this says where.
func (h *history) fencesGrow(v *verdict) {
	for _, name := range historyLocks {
		var byCall, byReturn []*operation
		for _, o := range h.operations {
			if o.lock == name && o.result == granted {
				byCall, byReturn = append(byCall, o), append(byReturn, o)
			}
		}
		slices.SortFunc(byCall, func(a, b *operation) int { return cmp.Compare(a.call, b.call) })
		slices.SortFunc(byReturn, func(a, b *operation) int { return cmp.Compare(a.back, b.back) })
		var greatest *operation
		next := 0
		seen := map[int64]*operation{}
		for _, o := range byCall {
			if other := seen[o.fence]; other != nil {
				v.add("fence", o.back, "%v has the fence of %v", o, other)
			}
			seen[o.fence] = o
			for ; next < len(byReturn) && byReturn[next].back < o.call; next++ {
				if greatest == nil || byReturn[next].fence > greatest.fence {
					greatest = byReturn[next]
				}
			}
			if greatest != nil && greatest.fence > o.fence {
				v.add("fence", o.back, "%v came after %v", o, greatest)
			}
		}
	}
}

// lateBelief checks that a holder whose connection was seen to close, or whose
// record was deleted, does not believe longer than the TTL: no renewal that began
// after the fault can have succeeded.
func (h *history) lateBelief(v *verdict, faults []fault, ttl int64) {
	for _, o := range h.operations {
		for _, f := range faults {
			if o.result == granted && f.severs && h.hits(f, o) && o.back < f.from && o.belief > f.to+ttl {
				v.add("late", o.belief, "%v: believed %d ms after %s, the TTL is %d ms", o, (o.belief-f.to)/1e6, f.kind, ttl/1e6)
			}
		}
	}
}

// expired checks that nobody believes in a lease that the server was seen to have
// forgotten because it was not renewed in time.
func (h *history) expired(v *verdict, faults []fault, w *watch) {
	for _, o := range h.operations {
		at, ok := w.expired[o.session]
		if o.result != granted || !ok || o.belief <= at {
			continue
		}
		excused := slices.ContainsFunc(faults, func(f fault) bool {
			return f.severs && f.lock == "" && h.hits(f, o) && f.from <= at
		})
		if !excused {
			v.add("expired", o.belief, "%v: believed %d ms after its lease was seen expired", o, (o.belief-at)/1e6)
		}
	}
}

// vanished checks that no record of a holder went while its session lived.
func (h *history) vanished(v *verdict, faults []fault) {
	for _, o := range h.operations {
		if o.result != granted || !strings.Contains(o.lostText, "no record of it") {
			continue
		}
		excused := slices.ContainsFunc(faults, func(f fault) bool {
			return f.severs && h.hits(f, o) && f.from <= o.lost
		})
		if !excused {
			v.add("vanished", o.lost, "%v: %s", o, o.lostText)
		}
	}
}

// recordsAgree checks that the server and a holder have the same fence.
func (h *history) recordsAgree(v *verdict, faults []fault, w *watch) {
	for _, o := range h.operations {
		fence, ok := w.fences[o.holder]
		if o.result != granted || !ok || fence == o.fence {
			continue
		}
		// Whose record was deleted before it knew of the grant may have asked again.
		excused := slices.ContainsFunc(faults, func(f fault) bool {
			return f.lock != "" && h.hits(f, o) && f.from <= o.back
		})
		if !excused {
			v.add("record", o.back, "%v: the server has fence %d", o, fence)
		}
	}
}

// deadInTheWay checks that whoever is refused has looked for dead owners: the dead
// one that was seen before is not seen any more. Only an exclusive owner must go at
// once; beside others somebody could have been served instead.
func (h *history) deadInTheWay(v *verdict, w *watch) {
	for _, d := range w.deadOwners {
		for _, o := range h.operations {
			if o.result == refused && o.lock == d.lock && o.call > d.from && o.back < d.to {
				v.add("dead in the way", o.back, "process %d was refused %s for %s, whose session had been dead for %d ms",
					o.process, o.lock, d.holder, (o.call-d.from)/1e6)
			}
		}
	}
}

// released checks that the server has no record of a hold whose release it has
// confirmed.
func (h *history) released(v *verdict, w *watch) {
	for _, o := range h.operations {
		if at, ok := w.owned[o.holder]; ok && o.result == granted && at > o.released {
			v.add("released", at, "%v: still owner %d ms after its release", o, (at-o.released)/1e6)
		}
	}
}
