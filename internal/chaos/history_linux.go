package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/portalocker/portalocker/redislock"
)

// never is a time after all others.
const never = int64(math.MaxInt64)

// history is all that is known of a round: what the workers wrote down, and what the
// coordinator did to them.
type history struct {
	operations []*operation
	processes  map[int]*process
	faults     []*fault
	slow       []lateness // of the server's answers to the coordinator
	found      []violation
}

// operation is a request, from the call of Acquire to the return of Release.
type operation struct {
	process *process
	number  int
	lock    *kind
	mode    string
	once    bool // a single try
	events  []event

	asked     int64
	granted   int64 // never if it was not
	believed  int64 // the last time at which its holder is known to have had it
	lost      int64 // when its holder first knew of the loss
	releasing int64 // the call of Release; never if there was none
	ended     int64 // when nothing of it was left in its process: by a release, a refusal, an error
	confirmed bool  // Release returned no error
	fence     int64
	failure   string // the class of the error of Acquire or Release, and the error
}

func (o *operation) String() string {
	return fmt.Sprintf("process %d, op %d: %s %s", o.process.number, o.number, o.lock.name, o.mode)
}

// process is a worker, as the coordinator and it itself know it.
type process struct {
	number int
	slot   int
	dead   int64  // from when on nothing that it believed counts; never while it lives
	reaped int64  // when it was certainly gone
	stops  []span // SIGSTOP, from when it had stopped to just before SIGCONT

	sessions map[redislock.Liveness][]int64 // when each began
	late     []lateness
}

func newProcess(number, slot int) *process {
	return &process{number: number, slot: slot, dead: never, reaped: never, sessions: map[redislock.Liveness][]int64{}}
}

type span struct{ from, to int64 }

// lateness is a timer, or an answer, that came too late.
type lateness struct{ at, by int64 }

// fault is something that was done to a process, a link, the server or a disk.
type fault struct {
	kind    string
	process int   // 0 for all
	slot    int   // of the process
	from    int64 // before it was begun
	done    int64 // when it had worked
	to      int64 // when it was lifted; never while it goes on
	server  bool  // it concerns whoever talks to the server
	severs  bool  // sessions end of which their processes cannot know yet
	spares  bool  // but not those that live by their lease alone
}

// violation is what a check found.
type violation struct {
	check string
	lock  string // "" if it is not about one
	at    int64
	text  string
	proof []string // the part of the history that shows it
}

func (h *history) add(v violation) { h.found = append(h.found, v) }

// read takes up what one process has written.
func (h *history) read(p *process, events []event) {
	h.processes[p.number] = p
	all := map[int]*operation{}
	for _, e := range events {
		switch e.kind {
		case session:
			p.sessions[redislock.Liveness(e.text)] = append(p.sessions[redislock.Liveness(e.text)], e.at)
		case late:
			p.late = append(p.late, lateness{e.at, e.fence})
		case dying:
			p.dead = min(p.dead, e.at)
		case wrong:
			h.add(violation{check: "worker", at: e.at, text: fmt.Sprintf("process %d: %s", p.number, e.text)})
		case asked:
			o := &operation{
				process: p, number: e.op, lock: kindOf(e.lock), mode: e.mode, once: e.text == "once", asked: e.at,
				granted: never, lost: never, releasing: never, ended: never,
			}
			all[e.op] = o
			h.operations = append(h.operations, o)
			o.events = append(o.events, e)
		default:
			if o := all[e.op]; o != nil { // of a round before there is nothing left, or that round has failed
				o.add(e)
			}
		}
	}
}

func (o *operation) add(e event) {
	o.events = append(o.events, e)
	switch e.kind {
	case granted:
		o.granted, o.fence = e.at, e.fence
	case refused:
		o.ended = e.at
	case failed:
		o.ended, o.failure = e.at, e.text
	case believed:
		o.believed = e.at
	case lost:
		o.lost = e.at
	case releasing:
		o.releasing = e.at
	case released:
		o.ended, o.failure = e.at, e.text
		o.confirmed = e.text == ""
	}
}

// gone is when certainly nothing of an operation was left: it has ended, or its process
// has.
func (o *operation) gone() int64 { return min(o.ended, o.process.reaped) }

// stopped says whether a process was stopped at some moment of a time.
func (p *process) stopped(from, to int64) bool {
	return slices.ContainsFunc(p.stops, func(s span) bool { return s.from <= to && from <= s.to })
}

// lateIn is how late timers were, at most, in a time. Those of a process that was
// stopped do not count for that.
func (h *history) lateIn(from, to int64) time.Duration {
	var most int64
	for _, p := range h.processes {
		for _, l := range p.late {
			if l.at >= from && l.at-l.by <= to && !p.stopped(l.at-l.by, l.at) {
				most = max(most, l.by)
			}
		}
	}
	return time.Duration(most)
}

// around is the part of the history of a lock that proves something: what happened to
// the operations in question, and a few events and the faults of that time.
func (h *history) around(k *kind, from, to int64, about ...*operation) (lines []string) {
	const most = 60
	type line struct {
		at   int64
		text string
	}
	var all []line
	for _, o := range h.operations {
		if o.lock != k {
			continue
		}
		concerned := slices.Contains(about, o)
		for i, e := range o.events {
			dull := e.kind == believed && i+1 < len(o.events) && o.events[i+1].kind == believed // only the last counts
			if !dull && (concerned || e.at >= from && e.at <= to) {
				all = append(all, line{e.at, fmt.Sprintf("process %-3d %v", o.process.number, e)})
			}
		}
	}
	for _, f := range h.faults {
		if f.from <= to && min(f.to, never-1) >= from {
			all = append(all, line{f.from, fmt.Sprintf("FAULT %s, process %d, lifted %s later", f.kind, f.process, lasted(f))})
		}
	}
	slices.SortFunc(all, func(a, b line) int { return int(max(-1, min(1, a.at-b.at))) })
	left := max(0, len(all)-most)
	for _, l := range all[left:] {
		lines = append(lines, fmt.Sprintf("%14.6f s  %s", float64(l.at)/1e9, strings.TrimSpace(l.text)))
	}
	return lines
}

func lasted(f *fault) string {
	if f.to == never {
		return "not"
	}
	return time.Duration(f.to - f.from).Round(time.Microsecond).String()
}
