package portalocker

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestLookedBehindOthers: while another process stands in the queue, each lock of this
// one looks for itself, and leaves no word that nobody is there.
func TestLookedBehindOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.lock")
	looked := func() bool {
		t.Helper()
		l := New(path)
		if _, err := l.Acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer l.Release() //nolint:errcheck // nothing is written
		return !l.known.looked.IsZero()
	}
	other, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	queue := ticketQueue{fd: other.Fd(), arrival: arrival(time.Now())}
	if queue.join(false); queue.ticket == 0 {
		t.Fatal("no ticket")
	}
	for range 3 {
		if looked() {
			t.Error("nobody was seen in the queue")
		}
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if !looked() {
		t.Error("somebody was seen in the queue")
	}
}
