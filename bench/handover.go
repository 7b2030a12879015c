package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// patience is how the hand-overs of one who are measured: how many in a run, and
// after which time it has surely tried again, if it polls.
type patience struct {
	handovers int
	period    time.Duration
}

// patienceOf gives those who take long fewer turns.
func patienceOf(who string) patience {
	switch who {
	case pythonOurs:
		return patience{25, 250 * time.Millisecond}
	case pythonFilelock:
		return patience{60, 50 * time.Millisecond}
	}
	return patience{250, 10 * time.Millisecond}
}

var (
	handoverMedian = figure{"latency, median", duration}
	handoverP99    = figure{"latency, p99", duration}
)

// handoverRow measures how long after a release in one process a waiter in
// another process holds the lock.
func handoverRow() *row {
	return &row{
		name:    "handover",
		what:    "hand-over to a waiter in another process",
		base:    ours,
		roles:   map[string]role{"holder": holdAndRelease, "waiter": waitAndHold},
		targets: []target{withinTimes(ours, handoverMedian, 2, kernel)},
		measure: func(ctx context.Context, r *run) error {
			return r.inTurn([]string{ours, kernel, lockedFile, gofrsPolls, pythonFilelock, pythonOurs}, func(who string) error {
				latencies, err := handOver(ctx, who, r.path())
				if err == nil {
					r.record(who, handoverMedian, median(latencies))
					r.record(who, handoverP99, quantile(latencies, 0.99))
				}
				return err
			})
		},
	}
}

// handOver lets a holder release to a waiter again and again, and gives the
// latencies in ns.
func handOver(ctx context.Context, who, path string) (latencies []float64, err error) {
	holder, err := start(ctx, task{Role: "holder", Who: who, Path: path})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, holder.end()) }()
	waiter, err := start(ctx, task{Role: "waiter", Who: who, Path: path})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, waiter.end()) }()

	p := patienceOf(who)
	for range p.handovers {
		var released, held int64
		err := errors.Join(
			holder.signal(), holder.awaitSignal(), // it holds
			waiter.signal(), waiter.awaitSignal(), // it is about to wait
		)
		if err != nil {
			return nil, err
		}
		// After 2 ms the waiter has long been waiting. The rest is random, so that
		// one that polls is met at any moment of its period.
		hold := 2*time.Millisecond + rand.N(p.period)
		if err := pause(ctx, hold); err != nil {
			return nil, err
		}
		// The holder does not speak before it is asked, lest the parent wakes up and
		// takes a CPU just when the waiter needs one.
		err = errors.Join(holder.signal(), waiter.hear(&held), holder.signal(), holder.hear(&released))
		if err != nil {
			return nil, err
		}
		latencies = append(latencies, float64(held-released))
	}
	return latencies, nil
}

// holdAndRelease acquires and says so, releases when told, and when asked says
// when that was: the moment before the release.
func holdAndRelease(t task, parent *link) error {
	lock, err := open(t.Who, t.Path)
	if err != nil {
		return err
	}
	for parent.awaitSignal() == nil { // it ends with the parent's end of the pipe
		if err := lock.acquire(context.Background()); err != nil {
			return err
		}
		if err := parent.signal(); err != nil {
			return err
		}
		if err := parent.awaitSignal(); err != nil {
			return err
		}
		at, err := monotonic()
		if err = errors.Join(err, lock.release()); err != nil {
			return err
		}
		if err := parent.awaitSignal(); err != nil {
			return err
		}
		if err := parent.say(at); err != nil {
			return err
		}
	}
	return nil
}

// waitAndHold says that it is about to wait, waits, releases, and says when it
// held: the moment after the acquisition.
func waitAndHold(t task, parent *link) error {
	lock, err := open(t.Who, t.Path)
	if err != nil {
		return err
	}
	for parent.awaitSignal() == nil {
		if err := parent.signal(); err != nil {
			return err
		}
		if err := lock.acquire(context.Background()); err != nil {
			return err
		}
		at, err := monotonic()
		if err = errors.Join(err, lock.release()); err != nil {
			return err
		}
		if err := parent.say(at); err != nil {
			return err
		}
	}
	return nil
}
