// Package explore visits every state that a small model can reach, and says which
// of them break a rule, with a shortest way to get there.
package explore

import (
	"fmt"
	"slices"
	"strings"
)

// Kind says what it takes for a step to happen.
type Kind uint8

// The kinds. Run and Pause steps come by themselves, and soon; a state that has
// none of them is quiet: whoever sleeps there sleeps on.
const (
	Run   Kind = iota // a running process, the kernel, the server or the network goes on
	Pause             // a timer of microseconds to milliseconds
	Net               // a safety net: a timer that must not be needed
	User              // what a program may do or not: to come, to give up, to release
	Fault             // a crash, a stop, a broken link
)

// Step is what somebody does.
type Step struct {
	Kind   Kind
	Actor  uint8
	Action string
}

// String is one line.
func (s Step) String() string { return fmt.Sprintf("%c %s", 'A'+s.Actor, s.Action) }

// Model is what there is to explore. A state has all there is to know about the
// future: two that are equal are one.
type Model[S comparable] struct {
	Start []S

	// Steps calls do for each step that is possible in a state, with the state
	// after it.
	Steps func(s S, do func(step Step, next S))

	// Broken says which rule a state breaks; "" for none.
	Broken func(s S) string

	// Quiet says what is wrong with a quiet state: a lock is free and somebody
	// waits. It is admitted if the design accepts that and has a safety net for it;
	// then Net steps must lead to a quiet state where nothing is wrong.
	// It may be nil.
	Quiet func(s S) (wrong string, admitted bool)

	// Limit is how many states there may be. To have more is an error, since then
	// nothing is proved.
	Limit int
}

// Result is what was found.
type Result struct {
	States   int            // visited
	Steps    int            // tried
	Quiet    int            // states without a Run or Pause step
	Admitted map[string]int // states that only a safety net leads out of, by what is wrong
	Depth    int            // of the longest shortest way
	Broken   string         // the rule that is broken; "" for none
	Trace    []Step         // a shortest way to break it
}

// String is the result in a few words and, where a rule is broken, the way to it,
// one line a step.
func (r Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d states, %d steps, at most %d deep, %d quiet", r.States, r.Steps, r.Depth, r.Quiet)
	for _, wrong := range sortedKeys(r.Admitted) {
		fmt.Fprintf(&b, ", %d admitted (%s)", r.Admitted[wrong], wrong)
	}
	if r.Broken != "" {
		fmt.Fprintf(&b, "; broken after %d steps: %s", len(r.Trace), r.Broken)
		for i, step := range r.Trace {
			fmt.Fprintf(&b, "\n%4d. %v", i+1, step)
		}
	}
	return b.String()
}

// visit is how a state was reached first.
type visit struct {
	from int32
	step Step
	deep int32
}

// search is an exploration under way.
type search[S comparable] struct {
	*Model[S]
	states []S
	visits []visit
	index  map[S]int32
	asleep []int32 // the quiet states that are admitted
	result Result
}

// Run explores the model, breadth first, until a rule is broken.
func (m *Model[S]) Run() Result {
	e := search[S]{Model: m, index: map[S]int32{}}
	e.result.Admitted = map[string]int{}
	for _, s := range m.Start {
		e.reach(s, visit{from: -1})
	}
	for at := 0; at < len(e.states) && e.result.Broken == ""; at++ {
		e.visit(int32(at))
	}
	if e.result.Broken == "" {
		e.findEndless()
	}
	for i := 0; i < len(e.asleep) && e.result.Broken == ""; i++ {
		if at := e.asleep[i]; !e.netHelps(at) {
			wrong, _ := e.Quiet(e.states[at])
			e.breaks(at, "the safety net does not help: "+wrong)
		}
	}
	e.result.States = len(e.states)
	return e.result
}

// visit looks at a state and at what follows it.
func (e *search[S]) visit(at int32) {
	s, quiet := e.states[at], true
	e.result.Depth = int(e.visits[at].deep)
	if rule := e.Broken(s); rule != "" {
		e.breaks(at, rule)
		return
	}
	e.Steps(s, func(step Step, next S) {
		e.result.Steps++
		quiet = quiet && step.Kind > Pause
		e.reach(next, visit{from: at, step: step, deep: e.visits[at].deep + 1})
	})
	if len(e.states) > e.Limit {
		e.breaks(at, fmt.Sprintf("there are more than %d states", e.Limit))
		return
	}
	if !quiet {
		return
	}
	e.result.Quiet++
	if e.Quiet == nil {
		return
	}
	switch wrong, admitted := e.Quiet(s); {
	case wrong == "":
	case admitted:
		e.result.Admitted[wrong]++
		e.asleep = append(e.asleep, at)
	default:
		e.breaks(at, wrong)
	}
}

func (e *search[S]) reach(s S, how visit) {
	if _, known := e.index[s]; !known {
		e.index[s] = int32(len(e.states))
		e.states = append(e.states, s)
		e.visits = append(e.visits, how)
	}
}

func (e *search[S]) breaks(at int32, rule string) {
	e.result.Broken = rule
	e.result.Trace = e.result.Trace[:0]
	for ; e.visits[at].from >= 0; at = e.visits[at].from {
		e.result.Trace = append(e.result.Trace, e.visits[at].step)
	}
	slices.Reverse(e.result.Trace)
}

// findEndless looks for a circle of Run and Pause steps: processes that keep each
// other busy for ever. Without one, every state gets quiet by itself, whatever the
// order of the steps, so that it is enough to judge the quiet ones.
func (e *search[S]) findEndless() {
	const unseen, open, closed = 0, 1, 2
	colour := make([]uint8, len(e.states))
	type frame struct {
		at   int32
		next []int32
	}
	var path []frame
	enter := func(at int32) {
		colour[at] = open
		f := frame{at: at}
		e.Steps(e.states[at], func(step Step, next S) {
			if step.Kind <= Pause {
				f.next = append(f.next, e.index[next])
			}
		})
		path = append(path, f)
	}
	for root := range e.states {
		if colour[root] != unseen {
			continue
		}
		enter(int32(root))
		for len(path) > 0 {
			top := &path[len(path)-1]
			if len(top.next) == 0 {
				colour[top.at] = closed
				path = path[:len(path)-1]
				continue
			}
			next := top.next[0]
			top.next = top.next[1:]
			switch colour[next] {
			case unseen:
				enter(next)
			case open:
				e.breaks(next, "a circle of steps without end begins here")
				return
			}
		}
	}
}

// netHelps says whether the safety nets lead out of an admitted state, while nobody
// comes, goes or fails.
func (e *search[S]) netHelps(from int32) (helps bool) {
	seen := map[int32]bool{from: true}
	for left := []int32{from}; len(left) > 0 && !helps; {
		at := left[len(left)-1]
		left = left[:len(left)-1]
		quiet := true
		e.Steps(e.states[at], func(step Step, next S) {
			quiet = quiet && step.Kind > Pause
			if i := e.index[next]; step.Kind <= Net && !seen[i] {
				seen[i] = true
				left = append(left, i)
			}
		})
		if quiet {
			wrong, _ := e.Quiet(e.states[at])
			helps = wrong == ""
		}
	}
	return helps
}

func sortedKeys(m map[string]int) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
