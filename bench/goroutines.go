package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

var (
	turnCost = figure{"time a turn", duration}
	fairness = figure{"Jain's fairness index", number}
)

// goroutinesRow measures goroutines of one process that contend for one path,
// each with an instance of its own, and hold the lock for no time.
func goroutinesRow() *row {
	return &row{
		name:  "goroutines",
		what:  "64 goroutines on one path in one process",
		base:  ours,
		roles: map[string]role{"goroutines": contendInside},
		targets: []target{
			fasterThan(ours, turnCost, 1, gofrs),
			reaches(ours, fairness, 0.95),
		},
		measure: func(ctx context.Context, r *run) error {
			return r.inTurn([]string{ours, gofrs, kernel}, func(who string) error {
				turns, err := ask[[]uint64](ctx, task{Role: "goroutines", Who: who, Path: r.path(), N: 64, Time: insideTime})
				if err == nil {
					r.record(who, turnCost, float64(insideTime)/outcome{turns: turns}.total())
					r.record(who, fairness, jain(turns))
				}
				return err
			})
		},
	}
}

const insideTime = time.Second

// contendInside answers with the turns of each goroutine.
func contendInside(t task, parent *link) error {
	var (
		turns   = make([]atomic.Uint64, t.N)
		errs    = make([]error, t.N)
		begin   = make(chan struct{})
		stopped atomic.Bool
		group   sync.WaitGroup
	)
	for i := range t.N {
		lock, err := open(t.Who, t.Path)
		if err != nil {
			return err
		}
		group.Go(func() {
			<-begin
			for !stopped.Load() && errs[i] == nil {
				if errs[i] = lock.acquire(context.Background()); errs[i] == nil {
					turns[i].Add(1)
					errs[i] = lock.release()
				}
			}
		})
	}
	close(begin)
	time.Sleep(t.Time)
	had := make([]uint64, t.N)
	for i := range turns {
		had[i] = turns[i].Load()
	}
	stopped.Store(true)
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return parent.say(had)
}
