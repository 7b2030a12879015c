package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/portalocker/portalocker"
)

var slotAcquire = series{"acquire+release of the last free one, median", duration, "slots", []int{1, 10, 100, 1000}}

// slotsRow measures how long it takes to find the last free one of many slots. Of
// the peers only Python portalocker has semaphores over files.
func slotsRow() *row {
	return &row{
		name:    "slots",
		what:    "the last free slot of 1 to 1,000",
		base:    ours,
		roles:   map[string]role{"slots": findLastSlot},
		targets: []target{staysUnder(ours, slotAcquire.at(1000), float64(20*time.Millisecond))},
		series:  []series{slotAcquire},
		measure: func(ctx context.Context, r *run) error {
			return r.inTurn([]string{ours, pythonOurs}, func(who string) error {
				for _, n := range slotAcquire.steps {
					ns, err := ask[float64](ctx, task{Role: "slots", Who: who, Path: r.path(), N: n})
					if err != nil {
						return err
					}
					r.record(who, slotAcquire.at(n), ns)
				}
				return nil
			})
		},
	}
}

// slotTries is how often the last slot is taken.
const slotTries = 50

// findLastSlot takes all of t.N slots but one, and answers with the median time in ns
// of taking that one, each time by a semaphore that has not had it before. The slots
// are files whose names begin with t.Path.
func findLastSlot(t task, parent *link) error {
	slot := func() (*portalocker.Lock, error) {
		s := portalocker.NewNamedBoundedSemaphore(t.N, filepath.Base(t.Path), portalocker.WithDirectory(filepath.Dir(t.Path)))
		return s.Acquire(context.Background())
	}
	for range t.N - 1 {
		held, err := slot()
		if err != nil {
			return err
		}
		defer held.Release() //nolint:errcheck // the process is about to end
	}
	var times []float64
	for range slotTries {
		begin := time.Now()
		held, err := slot()
		if err != nil {
			return err
		}
		if err := held.Release(); err != nil {
			return err
		}
		times = append(times, float64(time.Since(begin)))
	}
	return parent.say(median(times))
}
