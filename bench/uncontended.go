package main

import (
	"context"
	"time"

	"github.com/gofrs/flock"
	"github.com/portalocker/portalocker"
)

const (
	oursAnew    = "portalocker, New each time"
	gofrsAnew   = "gofrs/flock, New each time"
	rawSyscalls = "raw open+flock+close"
)

var pairCost = figure{"time a pair", duration}

// uncontendedRow measures acquire+release when nobody else wants the lock.
func uncontendedRow() *row {
	return &row{
		name:  "uncontended",
		what:  "uncontended acquire+release",
		base:  ours,
		roles: map[string]role{"uncontended": repeatPairs},
		targets: []target{
			fasterThan(ours, pairCost, 1.2, gofrs),
			fasterThan(oursAnew, pairCost, 1.2, gofrsAnew),
		},
		measure: func(ctx context.Context, r *run) error {
			whos := []string{ours, oursAnew, gofrs, gofrsAnew, lockedFile, rawSyscalls}
			return r.inTurn(whos, func(who string) error {
				ns, err := ask[float64](ctx, task{Role: "uncontended", Who: who, Path: r.path(), Time: 400 * time.Millisecond})
				if err == nil {
					r.record(who, pairCost, ns)
				}
				return err
			})
		},
	}
}

// repeatPairs acquires and releases, and answers with the mean time in ns.
func repeatPairs(t task, parent *link) error {
	pair, err := pairOf(t.Who, t.Path)
	if err != nil {
		return err
	}
	const batch = 200 // between two looks at the clock
	measure := func(d time.Duration) (float64, error) {
		begin, pairs := time.Now(), 0
		for time.Since(begin) < d {
			for range batch {
				if err := pair(); err != nil {
					return 0, err
				}
			}
			pairs += batch
		}
		return float64(time.Since(begin).Nanoseconds()) / float64(pairs), nil
	}
	if _, err := measure(t.Time / 10); err != nil { // creates the file, warms up
		return err
	}
	mean, err := measure(t.Time)
	if err != nil {
		return err
	}
	return parent.say(mean)
}

// pairOf gives one acquire+release of who, with the options that who has by
// default.
func pairOf(who, path string) (func() error, error) {
	ctx := context.Background()
	ourPair := func(l *portalocker.Lock) error {
		if _, err := l.Acquire(ctx); err != nil {
			return err
		}
		return l.Release()
	}
	gofrsPair := func(l *flock.Flock) error {
		if err := l.Lock(); err != nil {
			return err
		}
		return l.Unlock()
	}
	switch who {
	case ours:
		lock := portalocker.New(path)
		return func() error { return ourPair(lock) }, nil
	case oursAnew:
		return func() error { return ourPair(portalocker.New(path)) }, nil
	case gofrs:
		lock := flock.New(path)
		return func() error { return gofrsPair(lock) }, nil
	case gofrsAnew:
		return func() error { return gofrsPair(flock.New(path)) }, nil
	case rawSyscalls:
		who = kernel
	}
	lock, err := open(who, path)
	if err != nil {
		return nil, err
	}
	return func() error {
		if err := lock.acquire(ctx); err != nil {
			return err
		}
		return lock.release()
	}, nil
}
