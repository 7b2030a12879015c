package main

import (
	"context"
	"time"

	"github.com/portalocker/portalocker"
)

// slotCount is how many slots the semaphore of this row has; all but one are taken.
const slotCount = 1000

var slotAcquire = figure{"acquire+release of the last free slot, median", duration}

// slotsRow measures how long it takes to find the last free one of many slots. No
// peer has semaphores over files.
func slotsRow() *row {
	return &row{
		name:    "slots",
		what:    "1,000 slots, 999 of them taken",
		roles:   map[string]role{"slots": findLastSlot},
		targets: []target{staysUnder(ours, slotAcquire, float64(20*time.Millisecond))},
		measure: func(ctx context.Context, r *run) error {
			ns, err := ask[float64](ctx, task{Role: "slots", Who: ours, Path: r.dir})
			if err == nil {
				r.record(ours, slotAcquire, ns)
			}
			return err
		},
	}
}

// findLastSlot takes all slots but one, and answers with the median time in ns of
// taking that one, each time by a semaphore that has not had it before.
func findLastSlot(t task, parent *link) error {
	slot := func() (*portalocker.Lock, error) {
		s := portalocker.NewNamedBoundedSemaphore(slotCount, "bench", portalocker.WithDirectory(t.Path))
		return s.Acquire(context.Background())
	}
	for range slotCount - 1 {
		held, err := slot()
		if err != nil {
			return err
		}
		defer held.Release() //nolint:errcheck // the process is about to end
	}
	var times []float64
	for range 50 {
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
