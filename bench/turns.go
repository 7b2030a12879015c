package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// contest is a number of processes that take turns: each acquires, holds,
// releases, and at once acquires again.
type contest struct {
	who       string
	processes int
	hold      time.Duration
	settle    time.Duration // from the start of the last process to the window
	window    time.Duration // what is measured
}

// outcome is what happened in the window.
type outcome struct {
	turns []uint64 // of each process
	cpu   time.Duration
	took  time.Duration
}

func (o outcome) total() float64 {
	var sum float64
	for _, n := range o.turns {
		sum += float64(n)
	}
	return sum
}

func (c contest) run(ctx context.Context, r *run) (out outcome, err error) {
	path := r.path()
	counts, err := newCounters(path+".counters", c.processes)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, counts.close()) }()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends children that are left when something failed
	var children []*child
	defer func() {
		counts.stop()
		for _, ch := range children {
			err = errors.Join(err, ch.end())
		}
	}()
	for i := range c.processes {
		ch, err := start(ctx, task{Role: "turns", Who: c.who, Path: path, Counters: path + ".counters", N: i, Time: c.hold})
		if err != nil {
			cancel()
			return out, err
		}
		children = append(children, ch)
	}
	return c.watch(ctx, children, counts)
}

// watch lets all children begin and measures the window.
func (c contest) watch(ctx context.Context, children []*child, counts *counters) (out outcome, err error) {
	var pids []int
	for _, ch := range children {
		if err := ch.awaitSignal(); err != nil {
			return out, err
		}
		pids = append(pids, ch.pid())
	}
	for _, ch := range children {
		if err := ch.signal(); err != nil {
			return out, err
		}
	}
	if err := pause(ctx, c.settle); err != nil {
		return out, err
	}
	begin, before := time.Now(), counts.read()
	cpuBefore, err := cpuTime(pids...)
	if err != nil {
		return out, err
	}
	if err := pause(ctx, c.window); err != nil {
		return out, err
	}
	out.took, out.turns = time.Since(begin), counts.read()
	cpuAfter, err := cpuTime(pids...)
	out.cpu = cpuAfter - cpuBefore
	for i := range out.turns {
		out.turns[i] -= before[i]
	}
	if err == nil && out.total() == 0 {
		err = fmt.Errorf("nobody had a turn in %v", out.took)
	}
	return out, err
}

// takeTurns is the role of a contest's processes.
func takeTurns(t task, parent *link) error {
	lock, err := open(t.Who, t.Path)
	if err != nil {
		return err
	}
	counts, err := openCounters(t.Counters)
	if err != nil {
		return err
	}
	if err := parent.signal(); err != nil {
		return err
	}
	if err := parent.awaitSignal(); err != nil {
		return err
	}
	for !counts.stopped() {
		if err := lock.acquire(context.Background()); err != nil {
			return err
		}
		if !counts.stopped() {
			counts.add(t.N)
			time.Sleep(t.Time)
		}
		if err := lock.release(); err != nil {
			return err
		}
	}
	return counts.close()
}

// pause lets the children work.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stopped: %w", context.Cause(ctx))
	}
}
