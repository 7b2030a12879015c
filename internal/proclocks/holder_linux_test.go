package proclocks

import (
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portalocker/portalocker/internal/oslock"
)

// TestHolderPIDInShare: who was seen once is found without the table as long as it has
// the lock, and the table is left alone where it was read enough.
func TestHolderPIDInShare(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	open := func() *os.File {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	flock := func(f *os.File, how int) {
		t.Helper()
		if err := unix.Flock(int(f.Fd()), how); err != nil {
			t.Fatal(err)
		}
	}
	const never, always time.Duration = 0, math.MaxInt64
	me, a, b, wanting := os.Getpid(), open(), open(), open()
	t.Cleanup(func(d time.Duration) func() { return func() { Burst = d } }(Burst))
	expect := func(what string, limit time.Duration, want int) {
		t.Helper()
		Burst = limit
		if pid := HolderPID(wanting.Fd(), oslock.Flock, oslock.Exclusive); pid != want {
			t.Errorf("%s: %d, not %d", what, pid, want)
		}
	}
	flock(a, unix.LOCK_EX)
	expect("not seen yet", never, 0)
	expect("by the table", always, me)
	expect("seen before", never, me)
	flock(a, unix.LOCK_UN)
	expect("free", never, 0)
	flock(b, unix.LOCK_EX)
	expect("another descriptor", never, 0)
	expect("another descriptor, by the table", always, me)
	expect("another descriptor, seen before", never, me)
}

// TestShareOfTheTable: a process may read the table for its burst, and then for a
// twentieth of the time.
func TestShareOfTheTable(t *testing.T) {
	before := sightings.used
	defer func() { sightings.used = before }()
	sightings.used, sightings.read = Burst+time.Second, time.Now()
	if readInShare() != nil {
		t.Error("the table was read though the burst is used up")
	}
	sightings.used, sightings.read = Burst+time.Second, time.Now().Add(-share*2*time.Second)
	if readInShare() == nil {
		t.Error("the table was not read though the share of the time since is enough")
	}
	if sightings.used <= 0 || sightings.used > Burst {
		t.Errorf("a reading is taken for %v", sightings.used)
	}
}
