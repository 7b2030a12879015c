package main

import (
	"context"
	"time"
)

var (
	handoverCPU = figure{"CPU time a hand-over", duration}
	turnRate    = figure{"turns a second", count}
)

// sleepAlone is no lock at all: what the hold itself costs.
const sleepAlone = "no lock, the hold alone"

// crowdRow measures what a hand-over costs the whole machine when 256 processes
// wait.
func crowdRow() *row {
	return &row{
		name:    "crowd",
		what:    "256 waiting processes, hold 1 ms",
		base:    ours,
		roles:   map[string]role{"turns": takeTurns},
		targets: []target{withinTimes(ours, handoverCPU, 3, kernel)},
		measure: func(ctx context.Context, r *run) error {
			return r.inTurn([]string{ours, kernel, sleepAlone}, func(who string) error {
				c := contest{
					who: who, processes: 256, hold: time.Millisecond,
					settle: 1500 * time.Millisecond, window: 3 * time.Second,
				}
				if who == sleepAlone {
					c.processes, c.settle, c.window = 1, 0, time.Second
				}
				out, err := c.run(ctx, r)
				if err == nil {
					r.record(who, handoverCPU, float64(out.cpu)/out.total())
					r.record(who, turnRate, out.total()/out.took.Seconds())
					r.record(who, fairness, jain(out.turns))
				}
				return err
			})
		},
	}
}
