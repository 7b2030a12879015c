package main

import (
	"context"
	"errors"
	"slices"
	"time"
)

var (
	redisGapMedian = figure{"hand-over, median", duration}
	redisGapP99    = figure{"hand-over, p99", duration}
	redisGapMax    = figure{"hand-over, max", duration}
	redisLongest   = figure{"longest wait", duration}
	redisJain      = figure{"Jain's fairness index", number}
	redisKept      = figure{"share of turns that stayed with the same client", number}
	redisTurns     = figure{"turns a second", count}
	redisTurnCPU   = figure{"CPU time of the server, a turn", duration}
)

// redisContendedRow measures eight clients that want one lock again and again.
func redisContendedRow() *row {
	return &row{
		name:  "redis-contended",
		what:  "Redis, 8 contending clients, hold 1 ms",
		base:  oursRedis,
		roles: map[string]role{"redis-contest": contendOnRedis},
		targets: []target{
			withinTimes(oursRedis, redisGapP99, 1, redsyncPeer),
			withinTimes(oursRedis, redisGapP99, 1, bsmPeer),
			withinTimes(oursRedis, redisGapP99, 1, rueidisPeer),
			staysUnder(oursRedis, redisGapMax, float64(10*time.Millisecond)),
			reaches(oursRedis, redisJain, 0.99),
		},
		measure: func(ctx context.Context, r *run) error {
			return onRedis(ctx, r, redisPeers, func(who string, server *redisServer) error {
				t := redisTask{Clients: 8, Players: 8, Hold: time.Millisecond, Settle: 500 * time.Millisecond, Window: 2 * time.Second}
				out, cpu, err := t.run(ctx, who, server)
				if err != nil {
					return err
				}
				turns := outcome{turns: out.Turns}.total()
				r.record(who, redisGapMedian, median(out.Gaps))
				r.record(who, redisGapP99, quantile(out.Gaps, 0.99))
				r.record(who, redisGapMax, slices.Max(out.Gaps))
				r.record(who, redisLongest, float64(out.Longest))
				r.record(who, redisJain, jain(out.Turns))
				r.record(who, redisKept, float64(out.Kept)/turns)
				r.record(who, redisTurns, turns/t.Window.Seconds())
				r.record(who, redisTurnCPU, float64(cpu)/turns)
				return nil
			})
		},
	}
}

// onRedis calls measure for each who, with a server that is this run's own.
func onRedis(ctx context.Context, r *run, whos []string, measure func(who string, server *redisServer) error) (err error) {
	server, err := startRedis(ctx, r.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.end()) }()
	return r.inTurn(whos, func(who string) error { return measure(who, server) })
}

// redisTask is a contest of goroutines, the players, in one child.
type redisTask struct {
	Who     string
	Addr    string
	Clients int // which the players share
	Players int
	Hold    time.Duration
	Settle  time.Duration // from the moment when all have asked to the window
	Window  time.Duration
}

// redisOutcome is what happened in the window.
type redisOutcome struct {
	Turns   []uint64  // of each player
	Gaps    []float64 // from each release to the next acquisition, in ns
	Kept    int       // how many turns the one had who had the turn before
	Longest time.Duration
}

var errNoTurn = errors.New("nobody had a turn")

// run plays the game in a child, and gives what CPU time the server used for it.
func (t redisTask) run(ctx context.Context, who string, server *redisServer) (out redisOutcome, cpu time.Duration, err error) {
	t.Who, t.Addr = who, server.addr
	c, err := start(ctx, task{Role: "redis-contest"})
	if err != nil {
		return out, 0, err
	}
	defer func() { err = errors.Join(err, c.end()) }()
	if err := errors.Join(c.say(t), c.awaitSignal()); err != nil { // all have asked
		return out, 0, err
	}
	if err := pause(ctx, t.Settle); err != nil {
		return out, 0, err
	}
	before, err := server.cpu(ctx)
	if err != nil {
		return out, 0, err
	}
	if err := errors.Join(c.signal(), c.awaitSignal()); err != nil { // the window
		return out, 0, err
	}
	after, err := server.cpu(ctx)
	if err != nil {
		return out, 0, err
	}
	// Only now do the players give up, which costs the server time, too.
	if err := errors.Join(c.signal(), c.hear(&out)); err != nil {
		return out, 0, err
	}
	if len(out.Gaps) == 0 {
		return out, 0, errNoTurn
	}
	return out, after - before, nil
}
