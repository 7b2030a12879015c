package main

import (
	"context"
	"fmt"
	"time"
)

func spreadOf(n int) figure { return figure{fmt.Sprintf("%d processes: fewest/most turns", n), number} }
func rateOf(n int) figure   { return figure{fmt.Sprintf("%d processes: turns a second", n), count} }

// greedyRow measures who gets how many turns when processes take the lock again
// as soon as they have released it.
func greedyRow() *row {
	return &row{
		name:  "greedy",
		what:  "greedy processes (hold 5 ms, re-acquire at once)",
		base:  ours,
		roles: map[string]role{"turns": takeTurns},
		targets: []target{
			reaches(ours, spreadOf(3), 0.95),
			reaches(ours, spreadOf(8), 0.95),
		},
		measure: func(ctx context.Context, r *run) error {
			for _, n := range []int{3, 8} {
				err := r.inTurn([]string{ours, kernel, gofrsPolls}, func(who string) error {
					out, err := contest{
						who: who, processes: n, hold: 5 * time.Millisecond,
						settle: 100 * time.Millisecond, window: 3 * time.Second,
					}.run(ctx, r)
					if err == nil {
						r.record(who, spreadOf(n), spread(out.turns))
						r.record(who, rateOf(n), out.total()/out.took.Seconds())
					}
					return err
				})
				if err != nil {
					return fmt.Errorf("%d processes: %w", n, err)
				}
			}
			return nil
		},
	}
}
