package model

import (
	"testing"

	"github.com/portalocker/portalocker/internal/model/explore"
)

// asDesigned are the rules that keep what DESIGN.md promises.
var asDesigned = queueRules{
	asks: true, looksFirst: true, looksAgain: true, givesWay: true, followsUp: 2, followsWay: true,
	winnerRings: true, leaverRings: true, allRing: true, ticketsVanish: true,
	nudges: true, window: 2,
}

const (
	x = exclusive
	s = shared
)

// queueCases are the worlds of the queue. In those with a window of one, the rules
// for who stands behind the front meet fewer processes than the real window of two
// takes, so that more can happen to each.
var queueCases = []struct {
	name   string
	window int
	queueCase
}{
	{"three in order", 2, queueCase{modes: []uint8{x, x, x}, prompt: true}},
	{"four in order", 2, queueCase{modes: []uint8{x, x, x, x}, prompt: true, large: true}},
	{"four in order, front of one", 1, queueCase{modes: []uint8{x, x, x, x}, prompt: true}},
	{"anything happens to three", 2, queueCase{modes: []uint8{x, x, x}, crashes: 1, stops: 1, cancels: 1, large: true}},
	{"all three are killed", 2, queueCase{modes: []uint8{x, x, x}, crashes: 3, large: true}},
	{"front of one", 1, queueCase{modes: []uint8{x, x, x}, crashes: 1, cancels: 1, large: true}},
	{"front of one, three behind a holder", 1, queueCase{modes: []uint8{x, x, x, x}, held: true, cancels: 1, large: true}},
	{"three behind a holder", 2, queueCase{modes: []uint8{x, x, x, x}, held: true, large: true}},
	{"readers behind a writer", 2, queueCase{modes: []uint8{x, s, s}, held: true, crashes: 1, stops: 1, cancels: 1}},
	{"a writer between readers", 2, queueCase{modes: []uint8{s, x, s}, held: true, crashes: 1, stops: 1, cancels: 1}},
	{"readers and a writer, front of one", 1, queueCase{modes: []uint8{s, s, x}, crashes: 1, cancels: 1}},
}

// TestQueue explores them: never two, order of arrival where all run, nothing of the
// dead stays, no forgotten sleeper.
func TestQueue(t *testing.T) {
	for _, c := range queueCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if underRace && c.large {
				t.Skip("the race detector, which has nothing to find here, makes it slow")
			}
			m := &queueModel{asDesigned, c.queueCase}
			m.window, m.limit = c.window, 2_000_000
			mustHold(t, m.model().Run())
		})
	}
}

// TestQueueWithoutARule takes one rule away at a time. What the model does not
// notice, it does not show to be needed.
func TestQueueWithoutARule(t *testing.T) {
	for _, test := range []struct {
		name   string
		spoil  func(*queueRules)
		in     string // the world that shows it
		breaks string
	}{
		{"the first in line takes the lock without asking the kernel", func(r *queueRules) { r.asks = false },
			"three in order", "two hold the lock"},
		{"a newcomer tries before it looks at the queue", func(r *queueRules) { r.looksFirst = false },
			"three in order", "the lock was had out of turn"},
		{"no second look with the ticket and the watch", func(r *queueRules) { r.looksAgain = false },
			"three behind a holder", "the lock is free and a waiter sleeps on"},
		{"the second in line never tries", func(r *queueRules) { r.givesWay = false },
			"anything happens to three", "the lock is free and a waiter sleeps on"},
		{"nobody follows up an early hint", func(r *queueRules) { r.followsUp = 0 },
			"all three are killed", "the lock is free and a waiter sleeps on"},
		{"a winner does not ring", func(r *queueRules) { r.winnerRings = false },
			"front of one", "the lock is free and a waiter sleeps on"},
		{"one who gives up at the front does not ring", func(r *queueRules) { r.leaverRings = false },
			"front of one", "the lock is free and a waiter sleeps on"},
		{"tickets are files that stay", func(r *queueRules) { r.ticketsVanish = false },
			"anything happens to three", "a ticket outlives its process"},

		// What the code did not do when the model was written.
		{"one who gives up rings only if it knows that it is at the front", func(r *queueRules) { r.allRing = false },
			"front of one, three behind a holder", "the lock is free and a waiter sleeps on"},
		{"who gives way forgets that there was a hint", func(r *queueRules) { r.followsWay = false },
			"all three are killed", "the lock is free and a waiter sleeps on"},
		{"a reader that gets in does not tell the next", func(r *queueRules) { r.nudges = false },
			"readers behind a writer", "a reader sleeps on beside readers"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, c := range queueCases {
				if c.name != test.in {
					continue
				}
				m := &queueModel{asDesigned, c.queueCase}
				m.window, m.limit = c.window, 2_000_000
				test.spoil(&m.queueRules)
				mustBreak(t, m.model().Run(), test.breaks)
				return
			}
			t.Fatalf("there is no world %q", test.in)
		})
	}
}

// mustHold fails if a rule is broken.
func mustHold(t *testing.T, r explore.Result) {
	t.Helper()
	if r.Broken != "" {
		t.Error(r)
		return
	}
	t.Log(r)
}

// mustBreak fails unless the exploration found that this rule is broken.
func mustBreak(t *testing.T, r explore.Result, rule string) {
	t.Helper()
	if r.Broken != rule || len(r.Trace) == 0 {
		t.Errorf("not broken is %q: %v", rule, r)
		return
	}
	t.Logf("caught after %d states, in %d steps", r.States, len(r.Trace))
}
