package main

import (
	"context"
	"errors"
	"time"
)

var (
	redisPair     = figure{"time a pair", duration}
	redisRequests = figure{"requests to the server, a pair", number}
	redisServed   = figure{"CPU time of the server, a pair", duration}
)

// redisUncontendedRow measures a lock that nobody else wants.
func redisUncontendedRow() *row {
	return &row{
		name:    "redis-uncontended",
		what:    "Redis, uncontended acquire and release",
		base:    oursRedis,
		roles:   map[string]role{"redis-pairs": pairsOnRedis},
		targets: []target{withinTimes(oursRedis, redisPair, 1, redsyncPeer)},
		measure: func(ctx context.Context, r *run) (err error) {
			return onRedis(ctx, r, redisPeers, func(who string, server *redisServer) error {
				const pairs, warmUp = 5000, 500
				before, err := server.used(ctx)
				if err != nil {
					return err
				}
				took, err := ask[time.Duration](ctx, task{Role: "redis-pairs", Who: who, Path: server.addr, N: pairs, Warm: warmUp})
				if err != nil {
					return err
				}
				after, err := server.used(ctx)
				if err != nil {
					return err
				}
				// The server has served those of the warm-up, too. That it has also greeted
				// the client is too little to be seen.
				r.record(who, redisPair, float64(took)/pairs)
				r.record(who, redisRequests, (after.requests-before.requests)/(pairs+warmUp))
				r.record(who, redisServed, float64(after.cpu-before.cpu)/(pairs+warmUp))
				return nil
			})
		},
	}
}

// pairsOnRedis says how long its pairs took, after some to warm up.
func pairsOnRedis(t task, parent *link) error {
	client, err := redisOpen(t.Who, t.Path)
	if err != nil {
		return err
	}
	lock := client.lock("uncontended")
	pairs := func(n int) error {
		for range n {
			if err := lock.acquire(context.Background()); err != nil {
				return err
			}
			if err := lock.release(); err != nil {
				return err
			}
		}
		return nil
	}
	if err := pairs(t.Warm); err != nil {
		return err
	}
	begin := time.Now()
	err = pairs(t.N)
	took := time.Since(begin)
	return errors.Join(err, parent.say(took), client.close())
}
