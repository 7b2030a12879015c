package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	idleTime    = time.Minute
	idleWaiters = 3 // of each kind, all at once; each gives one value
)

var idleCPU = figure{"CPU time in 60 s", duration}

// idleRow measures what a wait costs while nothing happens.
func idleRow() *row {
	return &row{
		name:    "idle",
		what:    "waiting 60 s idle",
		maxRuns: 1,
		roles:   map[string]role{"idle": waitIdly},
		targets: []target{staysUnder(ours, idleCPU, float64(5*time.Millisecond))},
		measure: func(ctx context.Context, r *run) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel() // ends children that are left when something failed
			whos := []string{ours, kernel, gofrsPolls}
			begun := map[string][]*idler{}
			for range idleWaiters {
				for _, who := range whos {
					i, err := beginIdling(ctx, who, r.path())
					if err != nil {
						return fmt.Errorf("%s: %w", who, err)
					}
					begun[who] = append(begun[who], i)
				}
			}
			if err := pause(ctx, idleTime); err != nil {
				return err
			}
			for _, who := range whos {
				for _, i := range begun[who] {
					used, err := i.end()
					if err != nil {
						return fmt.Errorf("%s: %w", who, err)
					}
					r.record(who, idleCPU, float64(used))
				}
			}
			return nil
		},
	}
}

// idler is a child that waits for a lock of its own, and the CPU time that it had
// used before. A lock that others poll would not be idle: every poll closes the
// file, and that may be a release.
type idler struct {
	*child
	holder kernelLock
	before time.Duration
}

func beginIdling(ctx context.Context, who, path string) (*idler, error) {
	i := &idler{holder: kernelLock{path: path}}
	if err := i.holder.acquire(ctx); err != nil {
		return nil, err
	}
	var err error
	if i.child, err = start(ctx, task{Role: "idle", Who: who, Path: path}); err != nil {
		return nil, err
	}
	if err := i.awaitSignal(); err != nil {
		return nil, err
	}
	if i.before, err = cpuTime(i.pid()); err != nil {
		return nil, err
	}
	return i, i.signal()
}

// end ends the child and says what CPU time the wait has used.
func (i *idler) end() (time.Duration, error) {
	after, err := cpuTime(i.pid())
	return after - i.before, errors.Join(err, i.child.end(), i.holder.release())
}

// waitIdly waits until its parent closes the pipe.
func waitIdly(t task, parent *link) error {
	lock, err := open(t.Who, t.Path)
	if err != nil {
		return err
	}
	if err := parent.signal(); err != nil {
		return err
	}
	if err := parent.awaitSignal(); err != nil {
		return err
	}
	acquired := make(chan error, 1)
	ended := make(chan struct{})
	go func() { acquired <- lock.acquire(context.Background()) }()
	go func() {
		_ = parent.awaitSignal() // nothing comes but the end
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case err := <-acquired:
		return fmt.Errorf("the wait ended before its time: %v", err)
	}
}
