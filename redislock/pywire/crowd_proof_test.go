//go:build linux

package pywire_test

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// hold is a time for which a peer had the lock and believed it.
type hold struct {
	*peer
	from, to  int64
	exclusive bool
	got       int // the index of the event
}

// holds are the times for which a peer had the lock.
func (p *peer) holds() []hold {
	var holds []hold
	open := -1
	for i, e := range p.events {
		switch e.what {
		case "got":
			holds = append(holds, hold{p, e.at, 0, e.words[0] == "exclusive", i})
			open = len(holds) - 1
		case "free", "lost":
			if open >= 0 {
				holds[open].to, open = e.at, -1
			}
		}
	}
	if open >= 0 { // it was killed while it held
		holds[open].to = max(p.killed, holds[open].from)
	}
	return holds
}

// bothHeld says whether either side has had the lock alone. Python 4.1 may not have had
// it in a few seconds: eight of them alone take it four times in twelve.
func (c *crowd) bothHeld() bool {
	var held [2]bool
	for _, p := range c.peers {
		for _, h := range p.holds() {
			if p.python && h.exclusive {
				held[0] = true
			} else if h.exclusive {
				held[1] = true
			}
		}
	}
	return held[0] && held[1]
}

// judge looks at every overlap of two holds that exclude each other.
func (c *crowd) judge() {
	var all []hold
	counts := map[string]int{}
	for _, p := range c.peers {
		for _, h := range p.holds() {
			all = append(all, h)
			counts[fmt.Sprintf("%s exclusive=%t", strings.Fields(p.name)[0], h.exclusive)]++
		}
	}
	slices.SortFunc(all, func(a, b hold) int { return cmp.Compare(a.from, b.from) })
	c.t.Logf("%d processes, %d holds: %v", len(c.peers), len(all), counts)
	if !c.bothHeld() {
		c.t.Error("one side never had the lock: that proves nothing")
	}
	var among, proven int
	for i, later := range all {
		for _, earlier := range all[:i] {
			if earlier.to <= later.from || !earlier.exclusive && !later.exclusive {
				continue
			}
			if earlier.python && later.python {
				among++
				continue
			}
			proof := c.proof(earlier, later)
			c.t.Logf("overlap of %v: %s, then %s: %s", time.Duration(min(earlier.to, later.to)-later.from), earlier.name, later.name, cmp.Or(proof, "UNPROVEN"))
			if proof == "" {
				c.t.Errorf("%s had the lock while %s had it", later.name, earlier.name)
				c.show(earlier, later)
				continue
			}
			proven++
		}
	}
	c.t.Logf("overlaps of Python with Python: %d; with Go, by a proven fault of Python %s: %d", among, c.version, proven)
}

// proof is what proves that an overlap is the fault of Python; "" if nothing does.
func (c *crowd) proof(earlier, later hold) string {
	switch {
	case later.python && !earlier.python:
		return provenGrant(earlier, later)
	case earlier.python && !later.python:
		return provenLoss(c.peers, earlier, later)
	}
	return ""
}

// provenGrant is for a Python that took the lock while a Go process held it: it did so
// although it had been told, or without asking.
func provenGrant(held, taken hold) string {
	id := held.id()
	events := taken.events[:taken.got]
	for i := len(events) - 1; i >= 0 && events[i].what != "wants"; i-- {
		e := events[i]
		switch e.what {
		case "counts":
			began, _ := strconv.ParseInt(e.words[0], 10, 64)
			if e.words[1] == "1" && began > held.from {
				return fmt.Sprintf("Python counted 1 on the channel %v after Go held: its own subscription was not there yet", time.Duration(began-held.from))
			}
		case "pings":
			for _, said := range held.events {
				if said.what == "answers" && said.at < taken.from && slices.Contains(said.words, "to="+e.words[0]) &&
					strings.Contains(strings.Join(said.words, " "), `"holder_id":"`+id+`","mode":"`+held.mode()+`"`) {
					return fmt.Sprintf("Python pinged on %s, Go answered there that it is %s, and Python took the lock", e.words[0], held.mode())
				}
			}
			return ""
		}
	}
	return ""
}

// provenLoss is for a Go process that took the lock while a Python believed that it
// held it: the Python's connection had gone before.
func provenLoss(peers []*peer, held, taken hold) string {
	for _, e := range held.events[held.got:] {
		if e.at < taken.from && (e.what == "resubscribes" || e.what == "thread") {
			return fmt.Sprintf("Python's subscription broke %v before (%s), and Python went on", time.Duration(taken.from-e.at), e.what)
		}
	}
	id := held.id()
	for _, p := range peers {
		for _, e := range p.events {
			if e.what == "cuts" && e.at > held.from && e.at < taken.from && id != "-" && strings.Contains(strings.Join(e.words, " "), id) {
				return fmt.Sprintf("%s cut Python off %v before, for it did not answer, and Python went on", p.name, time.Duration(taken.from-e.at))
			}
		}
	}
	return ""
}

func (h hold) mode() string {
	if h.exclusive {
		return "exclusive"
	}
	return "shared"
}

// id is the holder id, "-" for a Python that has none.
func (h hold) id() string {
	if h.python {
		return h.events[h.got].words[1]
	}
	for i := h.got; i >= 0; i-- {
		if e := h.events[i]; e.what == "holds" {
			for _, w := range e.words {
				if id, ok := strings.CutPrefix(w, "id="); ok {
					return id
				}
			}
		}
	}
	return ""
}

// show shows what everybody said around the moment.
func (c *crowd) show(earlier, later hold) {
	from := max(earlier.from-300e6, later.from-2000e6)
	for _, line := range c.trace(from, later.from+100e6, later.from) {
		c.t.Log(line)
	}
}

// trace is what everybody said within a time, in order, and when.
func (c *crowd) trace(from, to, zero int64) []string {
	type line struct {
		at   int64
		text string
	}
	var lines []line
	for _, p := range c.peers {
		for _, e := range p.events {
			lines = append(lines, line{e.at, fmt.Sprintf("%-10s %s %s", p.name, e.what, strings.Join(e.words, " "))})
		}
		if p.killed > 0 {
			lines = append(lines, line{p.killed, fmt.Sprintf("%-10s KILLED", p.name)})
		}
	}
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(a.at, b.at) })
	var texts []string
	for _, l := range lines {
		if l.at >= from && l.at <= to {
			texts = append(texts, fmt.Sprintf("%10.3f ms  %s", float64(l.at-zero)/1e6, l.text))
		}
	}
	return texts
}

// keep writes the whole trace to a file, if it is wanted.
func (c *crowd) keep() {
	if *crowdTrace == "" {
		return
	}
	all := strings.Join(c.trace(0, math.MaxInt64, c.began), "\n") + "\n"
	if err := os.WriteFile(filepath.Join(*crowdTrace, c.version+".trace"), []byte(all), 0o666); err != nil {
		c.t.Error(err)
	}
}
