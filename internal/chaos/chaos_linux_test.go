package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portalocker/portalocker/redislock"
)

// made is a history that is made by hand. Its times are in milliseconds.
type made struct {
	*history
	next int
}

func madeHistory(processes int) *made {
	m := &made{history: &history{processes: map[int]*process{}}}
	for n := range processes {
		p := newProcess(n+1, n)
		for _, by := range []redislock.Liveness{redislock.Connected, redislock.LeaseOnly} {
			p.sessions[by] = []int64{0}
		}
		m.processes[n+1] = p
	}
	return m
}

const ms = int64(time.Millisecond)

// asks is a request that is not answered yet.
func (m *made) asks(process int, kind, mode string, at int64) *operation {
	m.next++
	o := &operation{
		process: m.processes[process], number: m.next, lock: kindOf(kind), mode: mode, asked: at * ms,
		granted: never, lost: never, releasing: never, ended: never,
	}
	m.operations = append(m.operations, o)
	return o
}

// holds is a request that was granted at once.
func (m *made) holds(process int, kind, mode string, from, to int64) *operation {
	return m.asks(process, kind, mode, from-1).gets(from).releases(to)
}

func (o *operation) gets(at int64) *operation {
	o.granted, o.fence = at*ms, at
	return o
}

func (o *operation) releases(at int64) *operation {
	o.believed, o.releasing, o.ended, o.confirmed = at*ms, at*ms, at*ms+1, true
	return o
}

// gives up at a time.
func (o *operation) gives(at int64) *operation { o.ended = at * ms; return o }

// believes until a time, and knows of the loss after that.
func (o *operation) believes(until int64) *operation {
	o.believed, o.lost, o.releasing, o.ended, o.confirmed = until*ms, until*ms+1, never, until*ms+2, false
	o.failure = gone + " it is lost"
	return o
}

func (m *made) fault(kind string, process int, from, to int64) *fault {
	f := &fault{kind: kind, process: process, slot: process - 1, from: from * ms, done: from * ms, to: to * ms}
	m.faults = append(m.faults, f)
	return f
}

func (m *made) cut(process int, at int64) {
	f := m.fault(linkCut, process, at, at)
	f.severs, f.spares, f.server = true, true, true
}

func (m *made) stop(process int, from, to int64) {
	p := m.processes[process]
	p.stops = append(p.stops, span{from * ms, to * ms})
	m.fault(stoppedLong, process, from, to).server = true
}

// TestChecks: what the checks find, and what they allow.
func TestChecks(t *testing.T) {
	for _, test := range []struct {
		name  string
		make  func(m *made)
		found string
	}{
		{"one after the other", func(m *made) {
			m.holds(1, "flock", "exclusive", 10, 20)
			m.holds(2, "flock", "exclusive", 21, 30)
		}, ""},
		{"two holders", func(m *made) {
			m.holds(1, "flock", "exclusive", 10, 20)
			m.holds(2, "flock", "exclusive", 19, 30)
		}, "two holders"},
		{"readers together", func(m *made) {
			m.holds(1, "ofd", "shared", 10, 20)
			m.holds(2, "ofd", "shared", 15, 30)
		}, ""},
		{"a writer among readers", func(m *made) {
			m.holds(1, "ofd", "shared", 10, 20)
			m.holds(2, "ofd", "exclusive", 15, 30)
		}, "two holders"},
		{"as many as there are permits", func(m *made) {
			for n := range int64(3) {
				m.holds(1, "named", "permit", 10+n, 20)
			}
		}, ""},
		{"one more than there are permits", func(m *made) {
			for n := range int64(4) {
				m.holds(1, "named", "permit", 10+n, 20)
			}
		}, "two holders"},
		{"a holder that was killed", func(m *made) {
			m.asks(1, "flock", "exclusive", 9).gets(10)
			m.processes[1].dead, m.processes[1].reaped = 15*ms, 25*ms
			m.holds(2, "flock", "exclusive", 16, 30)
		}, ""},
		{"a holder that was killed later", func(m *made) {
			m.asks(1, "flock", "exclusive", 9).gets(10)
			m.processes[1].dead, m.processes[1].reaped = 17*ms, 25*ms
			m.holds(2, "flock", "exclusive", 16, 30)
		}, "two holders"},
		{"a holder that was stopped holds on", func(m *made) {
			m.holds(1, "flock", "exclusive", 10, 50)
			m.stop(1, 11, 40)
			m.holds(2, "flock", "exclusive", 20, 30)
		}, "two holders"},

		{"a holder on the server that was cut off", func(m *made) {
			m.holds(1, "redis", "exclusive", 10, 0).believes(30)
			m.cut(1, 20)
			m.holds(2, "redis", "exclusive", 21, 40)
		}, ""},
		{"a holder on the server, where another was cut off", func(m *made) {
			m.holds(1, "redis", "exclusive", 10, 0).believes(30)
			m.cut(3, 20)
			m.fault(linkSlow, 1, 5, 15).server = true // which may end it, but not unknown to it
			m.holds(2, "redis", "exclusive", 21, 40)
		}, "two holders"},
		{"a lease outlives its connection", func(m *made) {
			m.holds(1, "lease", "exclusive", 10, 0).believes(30)
			m.cut(1, 20)
			m.holds(2, "lease", "exclusive", 21, 40)
		}, "two holders"},
		{"a lease does not outlive the server's data", func(m *made) {
			m.holds(1, "lease", "exclusive", 10, 0).believes(30)
			f := m.fault(serverKilled, 0, 20, 21)
			f.severs, f.server = true, true
			m.holds(2, "lease", "exclusive", 22, 40)
		}, ""},
		{"a release that the server has confirmed", func(m *made) {
			m.holds(1, "redis", "exclusive", 10, 30)
			m.cut(1, 20)
			m.holds(2, "redis", "exclusive", 21, 40)
		}, "two holders"},
		{"a belief that is too long", func(m *made) {
			m.holds(1, "redis", "exclusive", 10, 0).believes(1100)
			m.cut(1, 20)
		}, "late belief"},
		{"a belief after a stop that was too long", func(m *made) {
			m.holds(1, "redis", "exclusive", 10, 0).believes(1600)
			m.stop(1, 20, 1500)
		}, "late belief"},
		{"a fence that falls", func(m *made) {
			m.holds(1, "redis", "exclusive", 10, 20).fence = 7
			m.holds(2, "redis", "exclusive", 30, 40).fence = 6
		}, "fences"},
		{"a loss without a fault", func(m *made) {
			m.holds(1, "redis", "exclusive", 10, 0).believes(30)
		}, "unexpected error, lost without a fault"},

		{"a waiter is woken", func(m *made) {
			m.holds(1, "flock", "exclusive", 10, 20)
			m.asks(2, "flock", "exclusive", 15).gets(21).releases(30)
		}, ""},
		{"a waiter sleeps on", func(m *made) {
			m.holds(1, "flock", "exclusive", 10, 20)
			m.asks(2, "flock", "exclusive", 15).gives(3000)
		}, "lost wake-up"},
		{"a waiter sleeps on, and is served in the end", func(m *made) {
			m.holds(1, "ofd", "exclusive", 10, 20)
			m.asks(2, "ofd", "exclusive", 15).gets(3000).releases(3001)
		}, "lost wake-up"},
		{"a waiter sleeps on while there are permits", func(m *made) {
			for n := range int64(2) {
				m.holds(1, "named", "permit", 10+n, 4000)
			}
			m.asks(2, "named", "permit", 15).gives(3000)
		}, "lost wake-up"},
		{"a waiter whose lock is held", func(m *made) {
			m.holds(1, "flock", "exclusive", 10, 4000)
			m.asks(2, "flock", "exclusive", 15).gives(3000)
		}, ""},
		{"a waiter that was stopped", func(m *made) {
			m.holds(1, "flock", "exclusive", 10, 20)
			m.asks(2, "flock", "exclusive", 15).gets(2510).releases(2511)
			m.stop(2, 19, 2500)
		}, ""},
		{"a waiter behind one that was stopped", func(m *made) {
			m.holds(1, "flock", "exclusive", 10, 20)
			m.asks(3, "flock", "exclusive", 12).gets(2510).releases(2511)
			m.asks(2, "flock", "exclusive", 15).gets(2520).releases(2521)
			m.stop(3, 19, 2500)
		}, ""},
		{"a waiter after a death", func(m *made) {
			m.asks(1, "flock", "exclusive", 9).gets(10)
			m.processes[1].dead, m.processes[1].reaped = 15*ms, 2500*ms
			m.asks(2, "flock", "exclusive", 11).gets(2501).releases(2502)
		}, ""},
		{"a waiter on a machine that is too busy", func(m *made) {
			m.holds(1, "flock", "exclusive", 10, 20)
			m.asks(2, "flock", "exclusive", 15).gets(3000).releases(3001)
			m.processes[1].late = []lateness{{2000 * ms, 700 * ms}}
		}, ""},
		{"a single try does not wait", func(m *made) {
			m.asks(2, "flock", "exclusive", 15).gives(3000).once = true
		}, ""},

		{"no room, and the disk is full", func(m *made) {
			m.asks(1, "pid", "exclusive", 10).gives(12).failure = diskFull + " no space"
			m.fault(fillBytes, 0, 5, 11)
		}, ""},
		{"no room, and the disk was full", func(m *made) {
			m.asks(1, "pid", "exclusive", 10).gives(12).failure = diskFull + " no space"
			m.fault(fillBytes, 0, 5, 9)
		}, "unexpected error"},
		{"no descriptors in another process", func(m *made) {
			m.asks(1, "pid", "exclusive", 10).gives(12).failure = noFiles + " too many open files"
			m.fault(fewFiles, 2, 5, 20)
		}, "unexpected error"},
		{"an error that nobody promised", func(m *made) {
			m.asks(1, "pid", "exclusive", 10).gives(12).failure = unexpected + " made up"
		}, "unexpected error"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := madeHistory(3)
			test.make(m)
			m.check(map[string]*counts{})
			var found []string
			for _, v := range m.found {
				if !slices.Contains(found, v.check) {
					found = append(found, v.check)
				}
			}
			if got := strings.Join(found, ", "); got != test.found {
				t.Errorf("found %q, not %q: %v", got, test.found, m.found)
			}
		})
	}
}

// TestEvents: what is written is read again, also when the writer was killed in the
// middle.
func TestEvents(t *testing.T) {
	events, err := parseEvents([]byte("12 granted 3 redis shared 17 \n13 failed 4 flock exclusive 0 full no space left\n14 rel"))
	want := "[granted   op 3      redis shared fence 17 failed    op 4      flock exclusive fence 0 full no space left]"
	if err != nil || fmt.Sprint(events) != want {
		t.Errorf("%v, %v", events, err)
	}
	if _, err := parseEvents([]byte("garbage\n")); err == nil {
		t.Error("garbage is read without an error")
	}
}
