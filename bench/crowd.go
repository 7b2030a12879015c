package main

import (
	"context"
	"fmt"
	"time"
)

var (
	crowdSteps = []int{1, 8, 64, 256}

	crowdCPU  = series{"CPU time a hand-over", duration, "waiting processes", crowdSteps}
	crowdRate = series{"turns a second", count, "waiting processes", crowdSteps}
	crowdJain = series{"Jain's fairness index", number, "waiting processes", crowdSteps}

	aloneCPU  = figure{"CPU time a turn", duration}
	aloneRate = figure{"turns a second", count}
)

// sleepAlone is no lock at all: what the hold itself costs.
const sleepAlone = "no lock, the hold alone"

// crowdRow measures what a hand-over costs the whole machine as the number of
// processes that wait grows.
func crowdRow() *row {
	return &row{
		name:    "crowd",
		what:    "1 to 256 waiting processes, hold 1 ms",
		base:    ours,
		roles:   map[string]role{"turns": takeTurns},
		targets: []target{withinTimes(ours, crowdCPU.at(256), 3, kernel)},
		series:  []series{crowdCPU, crowdRate, crowdJain},
		measure: func(ctx context.Context, r *run) error {
			for _, n := range crowdSteps {
				err := r.inTurn([]string{ours, kernel, gofrsPolls}, func(who string) error {
					// One holds while n wait.
					c := contest{
						who: who, processes: n + 1, hold: time.Millisecond,
						settle: 100*time.Millisecond + time.Duration(n)*5*time.Millisecond,
						window: 1500 * time.Millisecond,
					}
					if n >= 100 {
						c.window = 3 * time.Second // or some would have very few turns
					}
					out, err := c.run(ctx, r)
					if err == nil {
						r.record(who, crowdCPU.at(n), float64(out.cpu)/out.total())
						r.record(who, crowdRate.at(n), out.total()/out.took.Seconds())
						r.record(who, crowdJain.at(n), jain(out.turns))
					}
					return err
				})
				if err != nil {
					return fmt.Errorf("%d waiting: %w", n, err)
				}
			}
			out, err := contest{who: sleepAlone, processes: 1, hold: time.Millisecond, window: time.Second}.run(ctx, r)
			if err == nil {
				r.record(sleepAlone, aloneCPU, float64(out.cpu)/out.total())
				r.record(sleepAlone, aloneRate, out.total()/out.took.Seconds())
			}
			return err
		},
	}
}
