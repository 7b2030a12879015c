package redislock_test

import (
	"slices"
	"strings"
	"testing"
)

// TestHistoryChecks shows, with histories made by hand, what the checks allow and
// what they find.
func TestHistoryChecks(t *testing.T) {
	const ttl = 100
	exclusive := func(process int, call, back, fence, belief int64) *operation {
		o := hold("alone", "exclusive", 0, process)
		o.call, o.back, o.fence, o.belief = call, back, fence, belief
		return o
	}
	permit := func(process int, at int64) *operation {
		o := hold("permits", "permit", permits, process)
		o.call, o.back, o.fence, o.belief = at, at+1, at, 1000
		return o
	}
	with := func(o *operation, mode string) *operation { o.mode = mode; return o }
	released := func(o *operation, call, back int64) *operation { o.release, o.released = call, back; return o }
	cut := fault{kind: "cut", process: 1, from: 30, to: 32, severs: true}

	for _, c := range []struct {
		name   string
		holds  []*operation
		faults []fault
		found  string // the checks that fail
	}{
		{name: "one after the other", holds: []*operation{released(exclusive(1, 10, 12, 1, 20), 21, 25), exclusive(2, 11, 24, 2, 60)}},
		{name: "the first was killed", holds: []*operation{exclusive(1, 10, 12, 1, 20), exclusive(2, 22, 24, 2, 60)}},
		{name: "both believe", holds: []*operation{exclusive(1, 10, 12, 1, 50), exclusive(2, 20, 22, 2, 60)}, found: "linearizable"},
		{name: "the first believes until the second can have it", holds: []*operation{exclusive(1, 10, 12, 1, 21), exclusive(2, 20, 22, 2, 60)}},
		{name: "a confirmed release comes after the next grant", holds: []*operation{released(exclusive(1, 10, 12, 1, 15), 40, 45), exclusive(2, 20, 22, 2, 60)}, found: "linearizable"},
		{name: "the first was cut off", holds: []*operation{exclusive(1, 10, 12, 1, 70), exclusive(2, 34, 36, 2, 80)}, faults: []fault{cut}},
		{name: "the second was served before the cut", holds: []*operation{exclusive(1, 10, 12, 1, 70), exclusive(2, 20, 25, 2, 80)}, faults: []fault{cut}, found: "linearizable"},
		{name: "another one was cut off", holds: []*operation{exclusive(3, 10, 12, 1, 70), exclusive(2, 34, 36, 2, 80)}, faults: []fault{cut}, found: "linearizable"},
		{name: "a cable was pulled, which ends nothing", holds: []*operation{exclusive(1, 10, 12, 1, 70), exclusive(2, 34, 36, 2, 80)}, faults: []fault{{kind: "dead link", process: 1, from: 30, to: 32}}, found: "linearizable"},
		{name: "cut off, and believes beyond the TTL", holds: []*operation{exclusive(1, 10, 12, 1, 133), exclusive(2, 34, 36, 2, 80)}, faults: []fault{cut}, found: "late"},
		{name: "a fence that falls", holds: []*operation{exclusive(1, 10, 12, 2, 20), exclusive(2, 22, 24, 1, 60)}, found: "fence linearizable"},
		{name: "a fence twice", holds: []*operation{exclusive(1, 10, 12, 2, 20), exclusive(2, 22, 24, 2, 60)}, found: "fence linearizable"},
		{name: "readers together", holds: []*operation{with(exclusive(1, 10, 12, 1, 50), "shared"), with(exclusive(2, 20, 22, 2, 60), "shared")}},
		{name: "a writer among readers", holds: []*operation{with(exclusive(1, 10, 12, 1, 50), "shared"), exclusive(2, 20, 22, 2, 60)}, found: "linearizable"},
		{name: "three of three permits", holds: []*operation{permit(1, 10), permit(2, 20), permit(3, 30)}},
		{name: "four of three permits", holds: []*operation{permit(1, 10), permit(2, 20), permit(3, 30), permit(4, 40)}, found: "linearizable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &history{operations: c.holds, sessions: map[string]int64{}}
			for _, o := range c.holds {
				h.sessions[o.session] = 1
			}
			v := newVerdict()
			h.check(v, c.faults, newWatch(nil, v), ttl)
			var found []string
			for _, f := range v.found {
				if !slices.Contains(found, f.check) {
					found = append(found, f.check)
				}
			}
			if got := strings.Join(found, " "); got != c.found {
				t.Errorf("found %q, not %q\n%v", got, c.found, v)
			}
		})
	}
}

// hold is a grant that was never released.
func hold(lock, mode string, limit, process int) *operation {
	name := string(rune('a' + process))
	return &operation{
		process: process, lock: lock, mode: mode, limit: limit, result: granted,
		holder: "holder-" + name, session: "session-" + name,
		lost: never, release: never, released: never,
	}
}
