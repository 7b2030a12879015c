package portalocker

import (
	"path/filepath"
	"testing"

	"github.com/portalocker/portalocker/internal/oslock"
)

// opened is a shared acquisition that has opened its file and stands in line.
func opened(t *testing.T, path string) *acquisition {
	t.Helper()
	l := New(path, WithFlags(Shared))
	a, err := newAcquisition(t.Context(), &l.target, &l.settings, nil, &l.known)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.open(); err != nil {
		t.Fatal(err)
	}
	a.hold.place.enter(path, a.mechanism, a.lockMode, a.started)
	t.Cleanup(func() {
		if err := a.hold.drop(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// TestReaderBehindSomebody: a reader with somebody before it in the queue is
// refused while other readers hold the lock, or no writer would ever get it; if
// nobody holds the lock, it gets its shared one, since the first does not answer.
func TestReaderBehindSomebody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.lock")
	holding, late := opened(t, path), opened(t, path)
	if err := holding.try(0); err != nil {
		t.Fatal(err)
	}
	if err := late.try(1); err != oslock.ErrLocked {
		t.Fatalf("behind a waiter, beside a reader: %v", err)
	}
	if err := late.try(0); err != nil {
		t.Fatalf("as the first, beside a reader: %v", err)
	}

	path = filepath.Join(t.TempDir(), "y.lock")
	late, holding = opened(t, path), opened(t, path)
	if err := late.try(1); err != nil {
		t.Fatalf("behind a waiter that does not answer: %v", err)
	}
	if err := holding.try(0); err != nil {
		t.Fatalf("what it got is not a shared lock: %v", err)
	}
}
