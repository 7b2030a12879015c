package portalocker

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/portalocker/portalocker/internal/testproc"
)

// TestSpareForgets: an acquisition that uses another one's memory has none of its
// options, and the lock that it takes is its own.
func TestSpareForgets(t *testing.T) {
	path := filepath.Join(testproc.Folder(t), "x.lock")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l := New(path)
	for range 3 {
		file, err := l.Acquire(t.Context(), WithFlags(Shared), WithMode("r+"), WithTimeout(0))
		if err != nil {
			t.Fatal(err)
		}
		reader := New(path, WithFlags(Shared), WithTimeout(0))
		if _, err := reader.Acquire(t.Context()); err != nil {
			t.Errorf("a reader beside a shared lock: %v", err)
		}
		if err := reader.Release(); err != nil {
			t.Error(err)
		}
		if err := l.Release(); err != nil {
			t.Error(err)
		}

		again, err := l.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if again == file || l.File() != again {
			t.Errorf("the file is %p, first it was %p, and File gives %p", again, file, l.File())
		}
		if _, err := reader.Acquire(t.Context()); err == nil {
			t.Error("a reader beside an exclusive lock")
		}
		if _, err := again.WriteString("appended"); err != nil {
			t.Error(err)
		}
		if err := l.Release(); err != nil {
			t.Error(err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Size() != 3*int64(len("appended")) {
		t.Errorf("the file: %v, %v", info, err)
	}
}

// TestReleasedByOthers: who acquires gets a file of its own, also if somebody else
// releases the lock at once and a third one acquires it again.
func TestReleasedByOthers(t *testing.T) {
	l := New(filepath.Join(testproc.Folder(t), "x.lock"), WithTimeout(Forever))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const acquirers, rounds = 4, 100
	var files sync.Map
	var left atomic.Int32
	left.Store(acquirers)
	var wg sync.WaitGroup
	for range acquirers {
		wg.Go(func() {
			defer left.Add(-1)
			for range rounds {
				file, err := l.Acquire(ctx)
				if err != nil {
					t.Error(err)
					return
				}
				if file == nil {
					t.Error("no file")
				} else if _, twice := files.LoadOrStore(file, true); twice {
					t.Error("a file was handed out twice")
				}
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			for left.Load() > 0 {
				if err := l.Release(); err != nil {
					t.Error(err)
				}
				l.File()
				runtime.Gosched()
			}
		})
	}
	wg.Wait()
	if err := l.Release(); err != nil {
		t.Error(err)
	}
}
