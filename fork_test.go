//go:build unix

package portalocker_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/portalocker/portalocker"
)

// TestFreeAtOnceWhileForking: a released lock is free at once, although other
// goroutines fork and exec all the time, and each child has copies of all
// descriptors until its exec.
func TestFreeAtOnceWhileForking(t *testing.T) {
	tries := 100_000
	if testing.Short() {
		tries = 10_000
	}
	program, err := exec.LookPath("true")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var forkers sync.WaitGroup
	var forks [2]int
	for i := range forks {
		forkers.Go(func() {
			for ctx.Err() == nil {
				if err := exec.Command(program).Run(); err != nil {
					t.Error(err)
					return
				}
				forks[i]++
			}
		})
	}
	path := filepath.Join(t.TempDir(), "x.lock")
	locks := []*portalocker.Lock{portalocker.New(path, portalocker.WithTimeout(0)), portalocker.New(path, portalocker.WithTimeout(0))}
	for i := range tries {
		l := locks[i%len(locks)]
		if _, err := l.Acquire(t.Context()); err != nil {
			t.Errorf("try %d: %v", i, err)
			break
		}
		if err := l.Release(); err != nil {
			t.Errorf("try %d: %v", i, err)
			break
		}
	}
	cancel()
	forkers.Wait()
	t.Logf("%d forks", forks[0]+forks[1])
}
