//go:build !race

package portalocker

import (
	"path/filepath"
	"testing"
	"time"
)

// TestAllocations: what acquiring and releasing a free lock allocates is what
// opening a file in Go does, two parts of an os.File and a copy of the path for the
// system call, and nothing of the lock's own. (The race detector allocates too.)
func TestAllocations(t *testing.T) {
	for _, test := range []struct {
		name string
		opts []Option
	}{
		{"exclusive", nil},
		{"shared", []Option{WithFlags(Shared)}},
		{"one try", []Option{WithTimeout(0)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := New(filepath.Join(t.TempDir(), "x.lock"), test.opts...)
			pair := func() { acquireAndRelease(t, l) }
			pair() // the first one makes and vets the file
			// No look at the queue, however slow the machine is: looks are rare, and may allocate.
			l.known.looked = time.Now().Add(time.Hour)
			if got, most := testing.AllocsPerRun(1000, pair), 3.0; got > most {
				t.Errorf("%v allocations, more than %v", got, most)
			}
		})
	}
}

// TestAllocationsOfNew: a new instance each time allocates itself in three parts besides,
// and nothing for a wait, since what the last one has learned of the path is known to it.
func TestAllocationsOfNew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.lock")
	pair := func() {
		l := New(path)
		// As above. It is what the last one has left in the line.
		lines.Lock()
		if lines.spare != nil && lines.spare.path == path {
			lines.spare.known.looked = time.Now()
		}
		lines.Unlock()
		acquireAndRelease(t, l)
	}
	pair()
	if got, most := testing.AllocsPerRun(1000, pair), 6.0; got > most {
		t.Errorf("%v allocations, more than %v", got, most)
	}
}

func acquireAndRelease(t *testing.T, l *Lock) {
	if _, err := l.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
}
