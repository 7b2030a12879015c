package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// checkErrors checks that every error is one that the documentation promises, and that
// there was a fault which leads to it.
func (h *history) checkErrors() {
	for _, o := range h.operations {
		class, _, _ := strings.Cut(o.failure, " ")
		if o.failure != "" && !h.excused(class, o) {
			h.add(violation{check: "unexpected error", lock: o.lock.name, at: o.ended,
				text:  fmt.Sprintf("%v: %s", o, o.failure),
				proof: h.around(o.lock, o.asked, o.ended, o)})
		}
		if o.lost != never && !h.excused(gone, o) {
			h.add(violation{check: "lost without a fault", lock: o.lock.name, at: o.lost,
				text:  fmt.Sprintf("%v: nothing was broken that could have ended it", o),
				proof: h.around(o.lock, o.asked, o.lost, o)})
		}
	}
}

// excused says whether a fault explains an error of a class.
func (h *history) excused(class string, o *operation) bool {
	begin, end := o.asked, min(o.lost, o.gone())
	if class == impatient {
		if end-begin < int64(ttl/3) {
			return true // so long may an answer take
		}
		class = unavailable
	}
	switch class {
	case unavailable, gone:
		if o.lock.liveness == "" {
			return false
		}
		begin -= int64(3 * ttl) // what was delayed arrives later, and a lease that was not renewed ends later
		if h.lateIn(begin, end) > 0 || slices.ContainsFunc(h.slow, func(l lateness) bool { return l.at >= begin && l.at-l.by <= end }) {
			return true // the machine was too busy, and so late may an answer be as well
		}
	}
	for _, f := range h.faults {
		if f.from > end || f.to < begin || f.process != 0 && f.slot != o.process.slot {
			continue
		}
		switch class {
		case unavailable, gone:
			if f.server {
				return true
			}
		case diskFull:
			if f.kind == fillBytes || f.kind == fillNames {
				return true
			}
		case noFiles:
			if f.kind == fewFiles {
				return true
			}
		}
	}
	return false
}

// counts is what a report says of a kind.
type counts struct {
	asked, granted, waited, refused, failed, lost, violations int
	longest                                                   time.Duration
}

// count adds up a round.
func (h *history) count(sums map[string]*counts) {
	of := func(name string) *counts {
		if sums[name] == nil {
			sums[name] = &counts{}
		}
		return sums[name]
	}
	for _, o := range h.operations {
		c := of(o.lock.name)
		c.asked++
		switch {
		case o.granted != never:
			c.granted++
			if o.granted-o.asked > int64(time.Millisecond) {
				c.waited++
			}
		case o.failure != "":
			c.failed++
		case o.ended != never:
			c.refused++
		}
		if o.lost != never {
			c.lost++
		}
	}
	for _, v := range h.found {
		of(v.lock).violations++
	}
}

// check runs every check.
func (h *history) check(sums map[string]*counts) {
	h.checkHolders()
	h.checkFences()
	h.checkBeliefs()
	longest := h.checkWaits()
	h.checkErrors()
	h.count(sums)
	for name, d := range longest {
		sums[name].longest = max(sums[name].longest, d)
	}
}
