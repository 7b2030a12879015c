package model

import "testing"

var clientsDesigned = clientRules{
	scriptRules: scriptsDesigned, watchesClock: true, takesBack: true, marksLate: true, checks: true, hurries: true,
}

// redisCases are the worlds of the Redis locks. The front of the queue is one or two
// instead of eight, as there are three clients.
var redisCases = []struct {
	name  string
	front int
	redisCase
}{
	{"one dies and one gives up", 2, redisCase{requests: each, kills: 1, e: 1}},
	{"two die, front of one", 1, redisCase{requests: each, kills: 2}},
	{"an answer is lost and one gives up", 2, redisCase{requests: each, losses: 1, e: 1}},
	{"one is stopped", 2, redisCase{requests: each, stops: 1}},
	{"one is cut", 2, redisCase{requests: each, cuts: 1}},
	{"two answers are lost", 2, redisCase{requests: two, losses: 2, e: 1}},
	{"two, anything once", 2, redisCase{requests: two, kills: 1, stops: 1, cuts: 1, losses: 1, large: true}},
	{"two, twice", 2, redisCase{requests: [maxSessions]uint8{2, 1}, cuts: 1, losses: 1, e: 1, large: true}},
	{"lease only, two", 2, redisCase{requests: two, leaseOnly: true, kills: 1, cuts: 1, losses: 1, e: 1, large: true}},
	{"lease only, three", 1, redisCase{requests: each, leaseOnly: true, cuts: 1, large: true}},
	{"readers and a writer", 2, redisCase{requests: each, shared: 0b000101, kills: 1, losses: 1}},
	{"one tries once", 2, redisCase{requests: each, once: 0b001, losses: 1, e: 1}},
}

var (
	each = [maxSessions]uint8{1, 1, 1}
	two  = [maxSessions]uint8{1, 1}
)

// TestRedis explores them: never two, growing fences, no ghosts, no forgotten waiter.
func TestRedis(t *testing.T) {
	for _, c := range redisCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if underRace && c.large {
				t.Skip("the race detector, which has nothing to find here, makes it slow")
			}
			m := &redisModel{clientsDesigned, c.redisCase}
			m.front = c.front
			mustHold(t, m.model().Run())
		})
	}
}

// TestRedisWithoutARule takes one rule away at a time.
func TestRedisWithoutARule(t *testing.T) {
	const (
		believes = "one believes that it has the lock, and nothing keeps the truth from it"
		ghost    = "a ghost owns the lock"
		sleeps   = "the lock is free and a waiter sleeps on"
		nobody   = "nobody looks for the dead owner soon"
		unaware  = "one does not know that it has the lock"
	)
	for _, test := range []struct {
		name   string
		spoil  func(*clientRules)
		in     string // the world that shows it
		breaks string
	}{
		{"a dead session is served", func(r *clientRules) { r.asksAlive = false }, "two die, front of one", "a dead session was given the lock"},
		{"dead owners stay", func(r *clientRules) { r.reaps = false }, "one dies and one gives up", "the safety net does not help: a dead owner or waiter is found at the check interval"},
		{"cancel leaves what was given", func(r *clientRules) { r.dropsOwner = false }, "one dies and one gives up", ghost},
		{"release does not hand on", func(r *clientRules) { r.handsOn = false }, "one is cut", sleeps},
		{"a late request is not barred by the server", func(r *clientRules) { r.bars = false }, "an answer is lost and one gives up", ghost},
		{"a late request is not announced", func(r *clientRules) { r.marksLate = false }, "an answer is lost and one gives up", ghost},
		{"one who gives up takes nothing back", func(r *clientRules) { r.takesBack = false }, "one dies and one gives up", ghost},
		{"grants are not told", func(r *clientRules) { r.tellsGrant = false }, "one is cut", unaware},
		{"a lease only client does not ask when it is back", func(r *clientRules) { r.hurries = false }, "lease only, three", unaware},
		{"the front is not told that it is", func(r *clientRules) { r.tellsFront = false }, "two die, front of one", nobody},
		{"the front does not check", func(r *clientRules) { r.checks = false }, "one dies and one gives up", nobody},
		{"the fence stays", func(r *clientRules) { r.fenceGrows = false }, "one is cut", "one that has lost the lock has the greater fence"},
		{"a client believes longer than its lease", func(r *clientRules) { r.watchesClock = false }, "one is stopped", believes},
		{"a renewal revives a session that is over", func(r *clientRules) { r.renewsALive = false }, "one is stopped", believes},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, c := range redisCases {
				if c.name != test.in {
					continue
				}
				m := &redisModel{clientsDesigned, c.redisCase}
				m.front = c.front
				test.spoil(&m.clientRules)
				mustBreak(t, m.model().Run(), test.breaks)
				return
			}
			t.Fatalf("there is no world %q", test.in)
		})
	}
}
