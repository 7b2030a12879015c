package main

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/portalocker/portalocker/redislock"
)

// hold is the time in which the holder of a lock certainly had it, as far as it knew:
// from the return of Acquire to the call of Release, or to the last time that the lease
// said so.
type hold struct {
	*operation
	from, to int64
}

// checkHolders checks that holders whose modes exclude each other never held at the same
// time, and that a semaphore never had more holders than permits. Nothing here depends on how
// long anything takes.
func (h *history) checkHolders() {
	byLock := map[*kind][]hold{}
	for _, o := range h.operations {
		if o.granted != never && !o.lock.free {
			if to := h.heldUntil(o); to >= o.granted {
				byLock[o.lock] = append(byLock[o.lock], hold{o, o.granted, to})
			}
		}
	}
	for k, holds := range byLock {
		slices.SortFunc(holds, func(a, b hold) int { return cmp.Compare(a.from, b.from) })
		var now []hold
		for _, one := range holds {
			now = slices.DeleteFunc(now, func(other hold) bool { return other.to < one.from })
			if i := slices.IndexFunc(now, func(other hold) bool { return !k.together(one.mode, other.mode) }); i >= 0 {
				h.twoHolders(k, one, now[i:i+1], "two holders")
			} else if k.permits > 0 && len(now) >= k.permits {
				h.twoHolders(k, one, now, fmt.Sprintf("%d holders of %d permits", len(now)+1, k.permits))
			}
			now = append(now, one)
		}
	}
}

func (h *history) twoHolders(k *kind, one hold, others []hold, what string) {
	about := []*operation{one.operation}
	text := fmt.Sprintf("%s of %s: %v", what, k.name, one.operation)
	for _, o := range others {
		about = append(about, o.operation)
		text += fmt.Sprintf(", and %v, which held it for another %.3f ms", o.operation, float64(min(o.to, one.to)-one.from)/1e6)
	}
	h.add(violation{check: "two holders", lock: k.name, at: one.from, text: text, proof: h.around(k, one.from-2e6, one.from+2e6, about...)})
}

// heldUntil is the end of a hold. What a lease said last counts, also in a process that
// was stopped or cut off: its own clock ends the lease before the server gives the lock
// away. A release that the server has confirmed shows that it was whole until then. The
// one thing that ends a hold before its holder can know is a fault by which the
// server sees the connection close, or loses its data, or its clock leaps.
func (h *history) heldUntil(o *operation) int64 {
	switch {
	case o.lock.liveness == "":
		return min(o.releasing, o.process.dead)
	case o.confirmed:
		return o.releasing
	}
	end := max(o.believed, o.asked) // before the first look it may have been stopped
	for _, f := range h.faults {
		if h.severed(f, o) {
			end = min(end, f.from)
		}
	}
	return end
}

// severed says whether a fault may have ended the session of a hold: one that had begun
// when the fault had worked, or was about to.
func (h *history) severed(f *fault, o *operation) bool {
	if !f.severs || f.spares && o.lock.liveness == redislock.LeaseOnly || f.process != 0 && f.process != o.process.number {
		return false
	}
	began := int64(0)
	for _, at := range o.process.sessions[o.lock.liveness] {
		if at <= o.asked {
			began = max(began, at)
		}
	}
	return began <= f.done+int64(ttl)
}

// checkFences checks that a hold that was asked for when another one had been granted
// has the greater fence.
func (h *history) checkFences() {
	byLock := map[*kind][]*operation{}
	for _, o := range h.operations {
		if o.granted != never && o.lock.liveness != "" {
			byLock[o.lock] = append(byLock[o.lock], o)
		}
	}
	for k, byCall := range byLock {
		byReturn := slices.Clone(byCall)
		slices.SortFunc(byCall, func(a, b *operation) int { return cmp.Compare(a.asked, b.asked) })
		slices.SortFunc(byReturn, func(a, b *operation) int { return cmp.Compare(a.granted, b.granted) })
		var greatest *operation
		next, seen := 0, map[int64]*operation{}
		for _, o := range byCall {
			for ; next < len(byReturn) && byReturn[next].granted < o.asked; next++ {
				if greatest == nil || byReturn[next].fence > greatest.fence {
					greatest = byReturn[next]
				}
			}
			before := seen[o.fence]
			if before == nil && greatest != nil && greatest.fence > o.fence {
				before = greatest
			}
			if before != nil {
				h.add(violation{check: "fences", lock: k.name, at: o.granted,
					text:  fmt.Sprintf("%v has fence %d, and %v before it had %d", o, o.fence, before, before.fence),
					proof: h.around(k, o.granted, o.granted, o, before)})
			}
			seen[o.fence] = o
		}
	}
}

// checkBeliefs checks that who was cut off, or stopped for longer than the lease lasts,
// knows of it in time: by the end of the lease, and at the first look after the stop.
func (h *history) checkBeliefs() {
	for _, o := range h.operations {
		if o.granted == never || o.lock.liveness == "" {
			continue
		}
		believed := o.believed
		if o.confirmed {
			believed = o.releasing
		}
		for _, f := range h.faults {
			if !o.confirmed && o.granted < f.from && h.severed(f, o) && believed > f.done+int64(ttl) {
				h.add(violation{check: "late belief", lock: o.lock.name, at: believed,
					text:  fmt.Sprintf("%v: believed %d ms after %s, the lease lasts %v", o, (believed-f.done)/1e6, f.kind, ttl),
					proof: h.around(o.lock, believed, believed, o)})
			}
		}
		for _, s := range o.process.stops {
			if s.to-s.from >= int64(ttl) && o.granted <= s.from && believed > s.to {
				h.add(violation{check: "late belief", lock: o.lock.name, at: believed,
					text:  fmt.Sprintf("%v: stopped for %d ms, which is longer than its lease, and believed after that", o, (s.to-s.from)/1e6),
					proof: h.around(o.lock, believed, believed, o)})
			}
		}
	}
}
