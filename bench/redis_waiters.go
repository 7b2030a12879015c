package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var (
	redisWaiterSteps = []int{1, 10, 100, 1000, 10_000}

	redisWaitCPU  = series{"CPU time of the server, a turn", duration, "waiters", redisWaiterSteps}
	redisWaitTime = series{"time a turn", duration, "waiters", redisWaiterSteps}
	redisWaitKept = series{"share of turns that stayed with the same waiter", number, "waiters", redisWaiterSteps}
	redisWaitLong = series{"longest wait", duration, "waiters", redisWaiterSteps}
)

// redisWaitersRow measures what a turn costs as the number of waiters grows.
func redisWaitersRow() *row {
	return &row{
		name:    "redis-waiters",
		what:    "Redis, 1 to 10,000 waiters of 8 clients, no hold",
		base:    oursRedis,
		maxRuns: 3,
		roles:   map[string]role{"redis-contest": contendOnRedis},
		series:  []series{redisWaitCPU, redisWaitTime, redisWaitKept, redisWaitLong},
		measure: func(ctx context.Context, r *run) error {
			// One that polls, and one that is told by the server.
			whos := []string{oursRedis, redsyncPeer, rueidisPeer}
			return onRedis(ctx, r, whos, func(who string, server *redisServer) error {
				for _, n := range redisWaiterSteps {
					// One plays while the n others wait.
					t := redisTask{Clients: min(8, n+1), Players: n + 1, Settle: 500 * time.Millisecond, Window: time.Second}
					if n >= 10_000 {
						t.Window = 3 * time.Second // or some would have very few turns
					}
					out, cpu, err := t.run(ctx, who, server)
					if errors.Is(err, errNoTurn) {
						return &missing{why: fmt.Sprintf("with %s waiters nobody had a turn in %v", thousands(n), t.Window)}
					}
					if err != nil {
						return err
					}
					turns := outcome{turns: out.Turns}.total()
					r.record(who, redisWaitCPU.at(n), float64(cpu)/turns)
					r.record(who, redisWaitTime.at(n), float64(t.Window)/turns)
					r.record(who, redisWaitKept.at(n), float64(out.Kept)/turns)
					r.record(who, redisWaitLong.at(n), float64(out.Longest))
				}
				return nil
			})
		},
	}
}
