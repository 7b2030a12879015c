package portalocker

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/portalocker/portalocker/internal/oslock"
	"github.com/portalocker/portalocker/internal/testproc"
)

// actor is one user of a temporary lock, cut into the steps between which others
// can come.
type actor struct {
	acquisition *acquisition
	opened      bool
}

func (a *actor) holds() bool { return a.opened && a.acquisition.hold.place.holds }

// step does the actor's next step: open; try to lock, once; release, or give up.
// A crash lets the file go without unlinking it, as the death of a process does.
func (a *actor) step(t *testing.T, path string, n int, crash bool) {
	switch n % 3 {
	case 0:
		l := NewTemporaryFileLock(path, WithTimeout(0)).lock
		var err error
		if a.acquisition, err = newAcquisition(t.Context(), &l.target, &l.settings, nil, &l.known); err != nil {
			t.Fatal(err)
		}
		h := &a.acquisition.hold
		if err := a.acquisition.open(); err != nil {
			t.Fatal(err)
		}
		h.place.enter(path, h.mechanism, oslock.Exclusive, a.acquisition.started)
		a.opened = true
	case 1:
		err := a.acquisition.try(0)
		if err != nil && !errors.Is(err, oslock.ErrLocked) && !errors.Is(err, errReplaced) {
			t.Fatal(err)
		}
	default:
		end := a.acquisition.hold.drop
		if a.holds() && !crash {
			end = func() error { return a.acquisition.hold.release(nil) }
		}
		err := end()
		if err != nil {
			t.Fatal(err)
		}
		a.opened = false
	}
}

// TestTemporaryInAllOrders: three users of one path, each of which opens, locks
// and releases, the first one twice, in each order in which their steps can follow
// each other, with and without the first one crashing instead of releasing. Opening makes the file
// anew when a release has unlinked it, so every order of unlink, recreate and lock
// comes up. Never do two hold.
func TestTemporaryInAllOrders(t *testing.T) {
	const users = 3
	path := filepath.Join(testproc.Folder(t), "x.lock")
	schedules, refused, held := 0, 0, 0
	run := func(order []int, crash bool) {
		var actors [users]actor
		var at [users]int
		for i, who := range order {
			actors[who].step(t, path, at[who], crash && who == 0)
			at[who]++
			holders := 0
			for u := range actors {
				if actors[u].holds() {
					holders++
				}
			}
			if holders > 1 {
				t.Fatalf("%d holders after %v", holders, order[:i+1])
			}
			if at[who]%3 == 2 {
				if actors[who].holds() {
					held++
				} else {
					refused++
				}
			}
		}
		schedules++
		_ = os.Remove(path)
	}
	var explore func(order []int, left [users]int)
	everyNth, nth := 1, 0
	if !canUnlinkOpenFiles {
		everyNth = 997 // a release that cannot remove the file, as others have it open, tries for some time
	}
	explore = func(order []int, left [users]int) {
		done := true
		for who := range left {
			if left[who] == 0 {
				continue
			}
			done = false
			next := left
			next[who]--
			explore(append(order, who), next)
		}
		if done {
			if nth++; nth%everyNth == 0 {
				run(order, false)
				run(order, true)
			}
		}
	}
	explore(make([]int, 0, 12), [users]int{6, 3, 3})
	t.Logf("%d orders, in which the lock was had %d times and refused %d times", schedules, held, refused)
	if held == 0 || refused == 0 {
		t.Error("the orders show nothing")
	}
}
