package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var redisRecovery = figure{"until the next waiter holds", duration}

// redisKills is how many holders of each kind are killed.
const redisKills = 5

// redisPatience is how long a waiter may take. One of rueidislock was seen to wait
// for more than three minutes, for a lock that had long expired.
const redisPatience = 20 * time.Second

// redisKilledRow measures how long a lock stays taken whose holder was killed. It is
// mostly waiting, so all wait at the same time, each pair for a lock of its own; each
// gives one value.
func redisKilledRow() *row {
	return &row{
		name:    "redis-killed",
		what:    "Redis, holder killed with SIGKILL",
		base:    oursRedis,
		maxRuns: 1,
		roles:   map[string]role{"redis-holder": holdOnRedis, "redis-waiter": waitOnRedis},
		targets: []target{staysUnder(oursRedis, redisRecovery, float64(300*time.Millisecond))},
		measure: func(ctx context.Context, r *run) (err error) {
			server, err := startRedis(ctx, r.dir)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, server.end()) }()
			ctx, cancel := context.WithCancel(ctx)
			defer cancel() // ends children that are left when something failed
			var pairs []*redisVictim
			for range redisKills {
				for _, who := range redisPeers {
					v, err := beginVictim(ctx, who, server.addr, len(pairs))
					if err != nil {
						return fmt.Errorf("%s: %w", who, err)
					}
					pairs = append(pairs, v)
				}
			}
			// Long enough that all wait; and a holder that is killed has commonly held
			// for a while.
			if err := pause(ctx, time.Second); err != nil {
				return err
			}
			for _, v := range pairs {
				if err := v.kill(ctx); err != nil {
					return fmt.Errorf("%s: %w", v.who, err)
				}
			}
			for _, v := range pairs {
				took, err := v.recovery()
				if err != nil {
					return fmt.Errorf("%s: %w", v.who, err)
				}
				r.record(v.who, redisRecovery, float64(took))
			}
			return nil
		},
	}
}

// redisVictim is a holder that is killed, and the one who waits for its lock.
type redisVictim struct {
	who            string
	holder, waiter *child
	killed         int64 // by the clock that all processes share
}

func beginVictim(ctx context.Context, who, addr string, number int) (v *redisVictim, err error) {
	v = &redisVictim{who: who}
	if v.holder, err = start(ctx, task{Role: "redis-holder", Who: who, Path: addr, N: number}); err != nil {
		return nil, err
	}
	if err := v.holder.awaitSignal(); err != nil {
		return nil, err
	}
	if v.waiter, err = start(ctx, task{Role: "redis-waiter", Who: who, Path: addr, N: number}); err != nil {
		return nil, err
	}
	return v, v.waiter.awaitSignal()
}

// kill kills the holder. After it comes a pause, so that holders of one kind die at
// different moments between two tries of those who wait for them.
func (v *redisVictim) kill(ctx context.Context) (err error) {
	if v.killed, err = monotonic(); err != nil {
		return err
	}
	if err := v.holder.cmd.Process.Kill(); err != nil {
		return err
	}
	_ = v.holder.end() // it was killed, and says so
	return pause(ctx, 7*time.Millisecond)
}

// recovery is how long it took until the waiter held the lock, and at most
// redisPatience.
func (v *redisVictim) recovery() (time.Duration, error) {
	now, err := monotonic()
	if err != nil {
		return 0, err
	}
	var held int64
	heard := make(chan error, 1)
	go func() { heard <- v.waiter.link.hear(&held) }()
	select {
	case err := <-heard:
		if err != nil {
			return 0, errors.Join(err, v.waiter.end())
		}
		return time.Duration(held - v.killed), v.waiter.end()
	case <-time.After(redisPatience - time.Duration(now-v.killed)):
		err := v.waiter.cmd.Process.Kill()
		<-heard            // its pipe is closed
		_ = v.waiter.end() // it was killed, and says so
		return redisPatience, err
	}
}

func victimName(t task) string { return fmt.Sprintf("killed %d", t.N) }

// holdOnRedis acquires, says so, and waits for its end.
func holdOnRedis(t task, parent *link) error {
	client, err := redisOpen(t.Who, t.Path)
	if err != nil {
		return err
	}
	if err := client.lock(victimName(t)).acquire(context.Background()); err != nil {
		return err
	}
	return errors.Join(parent.signal(), parent.awaitSignal())
}

// waitOnRedis says that it is about to wait, and then when it held the lock.
func waitOnRedis(t task, parent *link) error {
	client, err := redisOpen(t.Who, t.Path)
	if err != nil {
		return err
	}
	lock := client.lock(victimName(t))
	if err := parent.signal(); err != nil {
		return err
	}
	if err := lock.acquire(context.Background()); err != nil {
		return err
	}
	at, err := monotonic()
	if err = errors.Join(err, parent.say(at), lock.release()); err != nil {
		return err
	}
	return client.close()
}
