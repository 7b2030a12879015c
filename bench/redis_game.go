package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// contendOnRedis lets the players take turns. It says when all have asked for the
// lock; opens the window when it is told to, and says when it is over; and when told
// again it stops the players and says what happened.
func contendOnRedis(_ task, parent *link) error {
	var t redisTask
	if err := parent.hear(&t); err != nil {
		return err
	}
	game := newRedisGame(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var clients []redisClient
	for range t.Clients {
		client, err := redisOpen(t.Who, t.Addr)
		if err != nil {
			return err
		}
		clients = append(clients, client)
	}
	var players sync.WaitGroup
	for i := range t.Players {
		lock := clients[i%t.Clients].lock("contended")
		players.Go(func() { game.play(ctx, lock, i) })
		// They arrive one after the other. All of 10,000 at once would be another thing
		// to measure: how long requests queue for the connections of a client, where
		// go-redis gives up after some seconds.
		if i%arrivals == arrivals-1 {
			time.Sleep(time.Millisecond)
		}
	}
	game.entered.Wait()
	if err := errors.Join(parent.signal(), parent.awaitSignal()); err != nil {
		return err
	}
	game.open()
	time.Sleep(t.Window)
	out := game.shut()
	if err := errors.Join(parent.signal(), parent.awaitSignal()); err != nil {
		return err
	}
	cancel()
	players.Wait()
	for _, c := range clients {
		_ = c.close() // what is measured is over
	}
	return errors.Join(game.trouble(), parent.say(out))
}

// arrivals is how many players begin in a millisecond, at most.
const arrivals = 4

// redisGame is what the players share.
type redisGame struct {
	hold    time.Duration
	entered sync.WaitGroup // until each has asked once

	mu       sync.Mutex
	on       bool        // the window is open
	asked    []time.Time // since when each waits; zero while it does not
	holds    int         // how many hold the lock
	last     int         // who held it last
	released time.Time   // when that one began to release it
	out      redisOutcome
	failed   int // how many players
	err      error
}

func newRedisGame(t redisTask) *redisGame {
	g := &redisGame{hold: t.Hold, last: -1, asked: make([]time.Time, t.Players)}
	g.out.Turns = make([]uint64, t.Players)
	g.entered.Add(t.Players)
	return g
}

func (g *redisGame) play(ctx context.Context, lock locker, i int) {
	for first := true; ctx.Err() == nil; first = false {
		g.ask(i)
		if first {
			g.entered.Done()
		}
		if err := lock.acquire(ctx); err != nil {
			g.fail(ctx, err)
			return
		}
		g.take(i)
		if g.hold > 0 {
			time.Sleep(g.hold)
		}
		g.give(i)
		if err := lock.release(); err != nil {
			g.fail(ctx, err)
			return
		}
	}
}

func (g *redisGame) ask(i int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked[i] = time.Now()
}

// take notes that player i holds the lock.
func (g *redisGame) take(i int) {
	held := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.holds++; g.holds > 1 {
		g.err = errors.Join(g.err, errors.New("two held the lock at once"))
	}
	if g.on {
		g.out.Turns[i]++
		if !g.released.IsZero() {
			g.out.Gaps = append(g.out.Gaps, float64(held.Sub(g.released)))
		}
		if g.last == i {
			g.out.Kept++
		}
		g.out.Longest = max(g.out.Longest, held.Sub(g.asked[i]))
	}
	g.last, g.asked[i] = i, time.Time{}
}

// give notes that player i is about to release.
func (g *redisGame) give(i int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.holds--
	g.released = time.Now()
}

// open begins the window.
func (g *redisGame) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.on = true
}

// shut ends the window. Who still waits then has waited, too: a longest wait without
// those who never got the lock would speak well of whoever starves them.
func (g *redisGame) shut() redisOutcome {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.on = false
	for _, since := range g.asked {
		if !since.IsZero() {
			g.out.Longest = max(g.out.Longest, time.Since(since))
		}
	}
	return g.out
}

func (g *redisGame) fail(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return // the game is over
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failed++
	if g.failed == 1 { // the others have commonly failed for the same reason
		g.err = errors.Join(g.err, err)
	}
}

// trouble is what went wrong.
func (g *redisGame) trouble() error {
	if g.failed > 1 {
		return fmt.Errorf("%d of %d failed, the first with: %w", g.failed, len(g.asked), g.err)
	}
	return g.err
}
