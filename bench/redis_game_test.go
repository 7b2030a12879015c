package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// The game counts a wait that never ended.
func TestRedisGameCountsTheWaitsThatGoOn(t *testing.T) {
	g := newRedisGame(redisTask{Players: 2})
	g.ask(0)
	g.ask(1)
	g.asked[1] = time.Now().Add(-time.Minute)
	g.open()
	g.take(0)
	g.give(0)
	g.ask(0)
	g.take(0)
	out := g.shut()
	if out.Longest < time.Minute {
		t.Errorf("the longest wait is %v, and player 1 still waits after a minute", out.Longest)
	}
	if out.Turns[0] != 2 || out.Turns[1] != 0 || out.Kept != 1 || len(out.Gaps) != 1 {
		t.Errorf("turns %v, kept %d, gaps %v", out.Turns, out.Kept, out.Gaps)
	}
	if g.err != nil {
		t.Error(g.err)
	}
	g.take(1)
	if g.err == nil {
		t.Error("two hold the lock, and the game does not mind")
	}
	g.fail(context.Background(), errors.New("late"))
	if !strings.Contains(g.err.Error(), "late") {
		t.Errorf("the error got lost: %v", g.err)
	}
}
