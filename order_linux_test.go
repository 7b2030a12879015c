package portalocker_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
)

// TestOrderOfArrival: processes get the lock in the order in which they came. The order
// is kept among processes that run. One that the scheduler keeps from running for longer
// than the others give way may be overtaken, by many if it is the whole front, so on a
// busy machine two of five may go wrong. Of orders at random one in sixteen thousand
// moves so little.
func TestOrderOfArrival(t *testing.T) {
	const enough, most = 3, 5
	kept := 0
	for try := 0; try < most && kept < enough; try++ {
		order := orderOfArrival(t)
		t.Logf("order %v", order)
		moved := 0
		for place, i := range order {
			moved += max(i-place, place-i)
		}
		if moved <= len(order) {
			kept++
		}
	}
	if kept < enough {
		t.Errorf("the order of arrival was kept %d times in %d", kept, most)
	}
}

// orderOfArrival has processes queue up one after the other, and gives the order in which
// they get the lock.
func orderOfArrival(t *testing.T) (order []int) {
	t.Helper()
	const n = 12 // more than the front of the queue
	path := filepath.Join(t.TempDir(), "x.lock")
	current := holder(t, "lock", path)
	var waiters []*testproc.Process
	for i := range n {
		p := testproc.Start(t, "hold", "lock", path)
		p.Say("wait")
		p.Expect("waiting")
		queued(t, path, i+1)
		waiters = append(waiters, p)
	}
	for range waiters {
		current.Say("release")
		current.Expect("ok")
		i := whoSpeaks(t, waiters)
		order = append(order, i)
		current = waiters[i]
	}
	for _, p := range waiters {
		p.Kill()
	}
	return order
}

// whoSpeaks waits until one of the processes says "ok", and tells which.
func whoSpeaks(t *testing.T, processes []*testproc.Process) int {
	t.Helper()
	cases := make([]reflect.SelectCase, len(processes))
	for i, p := range processes {
		cases[i] = reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(p.Lines())}
	}
	timeout := reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(time.After(time.Minute))}
	i, line, _ := reflect.Select(append(cases, timeout))
	if i == len(processes) || line.String() != "ok" {
		t.Fatalf("waiter %d of %d: %v", i, len(processes), line)
	}
	return i
}

// TestStoppedWaiter: a stopped process at the head of the queue holds nobody up,
// and gets the lock once it runs again.
func TestStoppedWaiter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.lock")
	holder := holder(t, "lock", path)
	first := waiting(t, "lock", path)
	second := waiting(t, "lock", path)
	queued(t, path, 2)
	first.Stop()
	holder.Say("release")
	second.Expect("ok")
	second.Say("release")
	second.Expect("ok")
	first.Continue()
	first.Expect("ok")
}

// TestReadersTogether: readers that wait for a writer all come in when it leaves.
func TestReadersTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.lock")
	writer := holder(t, "lock", path)
	var readers []*testproc.Process
	for range 5 {
		p := testproc.Start(t, "hold", "lock", path, "shared")
		p.Say("wait")
		readers = append(readers, p)
	}
	queued(t, path, len(readers))
	writer.Say("release")
	writer.Expect("ok")
	for _, p := range readers { // none of them releases
		p.Expect("waiting")
		p.Expect("ok")
	}
}

// TestForeignRangeLock: a byte-range lock of another program on the whole file is
// no ticket, and does not delay a flock.
func TestForeignRangeLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.lock")
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, flags := range []portalocker.LockFlags{portalocker.Shared, portalocker.Exclusive} {
		other := portalocker.New(path, portalocker.WithMechanism(portalocker.OFD), portalocker.WithFlags(flags), portalocker.WithMode("r+"))
		if _, err := other.Acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		l := portalocker.New(path, portalocker.WithCheckInterval(eventsOnly), portalocker.WithTimeout(portalocker.Forever))
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		acquired := make(chan error, 1)
		go func() {
			_, err := l.Acquire(ctx)
			acquired <- errors.Join(err, ctx.Err()) // a try at the very end is too late
		}()
		if err := <-acquired; err != nil {
			t.Errorf("beside a lock with flags %#x: %v", flags, err)
		}
		cancel()
		if err := l.Release(); err != nil {
			t.Error(err)
		}
		if err := other.Release(); err != nil {
			t.Fatal(err)
		}
	}
}
