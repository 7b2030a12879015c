package portalocker_test

import (
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/portalocker/portalocker/internal/testproc"
)

// TestOrderOfArrival: processes get the lock in the order in which they came.
func TestOrderOfArrival(t *testing.T) {
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
	// The order is kept among processes that run. One that the scheduler keeps from
	// running for longer than the others give way may be overtaken, so on a busy
	// machine a place is lost now and then.
	var order []int
	for range waiters {
		current.Say("release")
		current.Expect("ok")
		i := whoSpeaks(t, waiters)
		order = append(order, i)
		current = waiters[i]
	}
	moved := 0
	for place, i := range order {
		moved += max(i-place, place-i)
	}
	t.Logf("order %v", order)
	if moved > n {
		t.Errorf("the order of arrival was not kept: %v", order)
	}
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
