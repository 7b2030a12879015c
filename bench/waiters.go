package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/metrics"
	"syscall"
	"time"

	"github.com/portalocker/portalocker"
)

const (
	ownInstances = "portalocker, 10,000 instances"
	oneInstance  = "portalocker, one instance"
	kernelFew    = "kernel-blocking flock, 200 goroutines"
)

var (
	threadCount  = figure{"OS threads", count}
	waiterMemory = figure{"memory a waiter", size}
)

// waitersRow measures what goroutines that wait for one file cost their process.
func waitersRow() *row {
	return &row{
		name:  "waiters",
		what:  "10,000 goroutines waiting on one file",
		roles: map[string]role{"waiters": crowdInside},
		targets: []target{
			staysUnder(ownInstances, threadCount, 32),
			staysUnder(ownInstances, waiterMemory, 6*1024),
			staysUnder(oneInstance, threadCount, 32),
			staysUnder(oneInstance, waiterMemory, 6*1024),
		},
		measure: func(ctx context.Context, r *run) error {
			return r.inTurn([]string{ownInstances, oneInstance, kernelFew}, func(who string) error {
				n := 10_000
				if who == kernelFew {
					n = 200
				}
				path := r.path()
				holder := kernelLock{path: path}
				if err := holder.acquire(ctx); err != nil {
					return err
				}
				cost, err := ask[waitCost](ctx, task{Role: "waiters", Who: who, Path: path, N: n})
				if err == nil {
					r.record(who, threadCount, cost.Threads)
					r.record(who, waiterMemory, cost.Memory/float64(n))
				}
				return errors.Join(err, holder.release())
			})
		},
	}
}

// waitCost is the answer of crowdInside.
type waitCost struct {
	Threads float64
	Memory  float64 // bytes of heap and stacks in use, of all waiters
}

// crowdInside lets t.N goroutines wait for a lock that another process holds, and
// answers with what that costs. The locks they wait with are part of the cost.
func crowdInside(t task, parent *link) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if t.Who != oneInstance {
		if err := enoughFiles(t.N); err != nil {
			return err
		}
	}
	instance, err := instances(t.Who, t.Path)
	if err != nil {
		return err
	}
	ended := make(chan error, t.N)
	before := memoryInUse()
	for range t.N {
		go func() { ended <- instance().acquire(ctx) }()
	}
	if err := allWait(t.N, ended); err != nil {
		return err
	}
	used := memoryInUse() - before
	n, err := threads()
	if err != nil {
		return err
	}
	if err := parent.say(waitCost{Threads: float64(n), Memory: used}); err != nil {
		return err
	}
	if t.Who == kernelFew {
		return nil // nothing ends such a wait but the end of the process
	}
	cancel()
	for range t.N {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			return fmt.Errorf("a cancelled wait ended with: %v", err)
		}
	}
	return nil
}

// instances gives the locks that the goroutines wait with. The timeout never
// comes, but it is one, since a wait commonly has one.
func instances(who, path string) (func() locker, error) {
	long := portalocker.WithTimeout(time.Hour)
	switch who {
	case ownInstances:
		return func() locker { return portalockerLock{portalocker.New(path, long)} }, nil
	case oneInstance:
		lock := portalockerLock{portalocker.New(path, long)}
		return func() locker { return lock }, nil
	case kernelFew:
		return func() locker { return &kernelLock{path: path} }, nil
	}
	return nil, fmt.Errorf("nobody is called %q", who)
}

// enoughFiles reports if n waiters cannot have a file each. Go's runtime has
// raised the soft limit to the hard one.
func enoughFiles(n int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if need := uint64(n) + 100; limit.Cur < need {
		return fmt.Errorf("%d waiters need %d open files, and RLIMIT_NOFILE has a hard limit of %d here; raise it (ulimit -Hn) or choose other rows",
			n, need, limit.Max)
	}
	return nil
}

// allWait returns when n goroutines have come to rest: parked by Go's scheduler,
// or blocked in a system call.
func allWait(n int, ended <-chan error) error {
	samples := []metrics.Sample{
		{Name: "/sched/goroutines/waiting:goroutines"},
		{Name: "/sched/goroutines/not-in-go:goroutines"},
		{Name: "/sched/goroutines/runnable:goroutines"},
	}
	for still := 0; still < 5; {
		select {
		case err := <-ended:
			return fmt.Errorf("a wait ended before its time: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
		metrics.Read(samples)
		resting := samples[0].Value.Uint64() + samples[1].Value.Uint64()
		if resting >= uint64(n) && samples[2].Value.Uint64() == 0 {
			still++
		} else {
			still = 0
		}
	}
	return nil
}

// memoryInUse is what Go's heap and stacks take, without garbage.
func memoryInUse() float64 {
	runtime.GC()
	runtime.GC() // finalizers and pools let go of their objects in the first one
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapInuse + m.StackInuse)
}
