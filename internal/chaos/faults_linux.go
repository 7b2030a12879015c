package main

import (
	"math/rand/v2"
	"slices"
	"time"
)

// The faults, by the names that the report has for them.
const (
	killed       = "SIGKILL"
	killedAsking = "SIGKILL in the middle of an acquire"
	stoppedShort = "SIGSTOP, for less than a lease"
	stoppedLong  = "SIGSTOP, for longer than a lease"
	fillBytes    = "disk full"
	fillNames    = "disk without inodes"
	fewWatches   = "no inotify watches"
	fewFiles     = "no descriptors"
	oldTimes     = "lock files far in the past and the future"
	serverKilled = "server killed, and started empty"
	serverEnded  = "server shut down, and started empty"
	serverStops  = "server stopped"
	clockAhead   = "server's clock set forward"
	clockBehind  = "server's clock set back"
	linkCut      = "link cut"
	linkDead     = "link half-open"
	linkSlow     = "link slow"
	linkClosed   = "subscriptions closed by the server"
)

// dealt is how often each fault comes in a deck. The deck is shuffled, and dealt again
// when it is empty, so that a round has most of them.
var dealt = map[string]int{
	killed: 3, killedAsking: 3, stoppedShort: 2, stoppedLong: 2,
	fillBytes: 1, fillNames: 1, fewWatches: 2, fewFiles: 2, oldTimes: 1,
	serverKilled: 1, serverEnded: 1, serverStops: 1, clockAhead: 1, clockBehind: 1,
	linkCut: 2, linkDead: 2, linkSlow: 2, linkClosed: 1,
}

// injector does the faults of a round. All of them happen on one goroutine.
type injector struct {
	*campaign
	random *rand.Rand // decides which faults, and whom they hit
	dice   *rand.Rand // decides about one fault, so that the next ones do not depend on it
	deck   []string
	ends   []due
	err    error // of the coordinator itself, which ends the campaign
}

// due is the end of a fault.
type due struct {
	at time.Time
	do func()
}

// run injects faults for a time, and then lifts those that go on.
func (in *injector) run(length time.Duration, pause time.Duration) error {
	end := time.After(length)
	next := time.NewTimer(pause)
	defer next.Stop()
	tell := time.NewTicker(10 * time.Second)
	defer tell.Stop()
	for over := false; !over && in.err == nil; {
		in.lift(false)
		lift := in.nextEnd()
		select {
		case <-lift.C:
		case <-next.C:
			in.inject()
			next.Reset(pause/2 + time.Duration(in.random.Int64N(int64(pause))))
		case <-tell.C:
			in.line()
		case <-end:
			over = true
		}
		lift.Stop()
	}
	in.lift(true)
	return in.err
}

// nextEnd is a timer for when the next fault ends.
func (in *injector) nextEnd() *time.Timer {
	until := time.Hour
	for _, d := range in.ends {
		until = min(until, max(0, time.Until(d.at)))
	}
	return time.NewTimer(until)
}

// lift ends the faults whose time has come, or all.
func (in *injector) lift(all bool) {
	for {
		i := slices.IndexFunc(in.ends, func(d due) bool { return all || !time.Now().Before(d.at) })
		if i < 0 {
			return
		}
		d := in.ends[i]
		in.ends = slices.Delete(in.ends, i, i+1)
		d.do()
	}
}

// begin takes note of a fault that is about to be done, and do does it.
func (in *injector) begin(f *fault, do func() error) {
	f.from, f.done, f.to = clock(), never, never
	in.fail(do())
	f.done = clock()
	in.round.faults = append(in.round.faults, f)
	in.done[f.kind]++
}

// lasts ends a fault after a time.
func (in *injector) lasts(f *fault, d time.Duration, do func()) {
	in.ends = append(in.ends, due{time.Now().Add(d), func() {
		do()
		f.to = clock()
	}})
}

// once does a fault that is over when it is done.
func (in *injector) once(f *fault, do func() error) {
	in.begin(f, do)
	f.to = f.done
}

func (in *injector) fail(err error) {
	if in.err == nil {
		in.err = err
	}
}

// between is a time at random.
func (in *injector) between(from, to time.Duration) time.Duration {
	return from + time.Duration(in.dice.Int64N(int64(to-from)))
}

// inject does the next fault. Those that cannot be had here were not dealt.
func (in *injector) inject() {
	if len(in.deck) == 0 {
		for kind, n := range dealt {
			if !in.lacks[kind] {
				in.deck = append(in.deck, slices.Repeat([]string{kind}, n)...)
			}
		}
		slices.Sort(in.deck) // a map has no order, and the seed must decide
		in.random.Shuffle(len(in.deck), func(i, j int) { in.deck[i], in.deck[j] = in.deck[j], in.deck[i] })
	}
	kind := in.deck[0]
	in.deck = in.deck[1:]
	s := in.slots[in.random.IntN(len(in.slots))]
	in.dice = rand.New(rand.NewPCG(in.random.Uint64(), 0))
	switch kind {
	case killed, killedAsking, stoppedShort, stoppedLong, fewFiles, fewWatches:
		in.toProcess(kind, s)
	case fillBytes, fillNames, oldTimes:
		in.toDisk(kind)
	case linkCut, linkDead, linkSlow, linkClosed:
		in.toLink(kind, s)
	default:
		in.toServer(kind)
	}
}
