package main

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/portalocker/portalocker"
)

// breakages are what a worker can be told to do wrong, to show that the campaign finds
// it. They are here, in the worker: the locks themselves are as they are.
var breakages = []string{"greedy", "believer", "sleeper", "error", "leak", "litter", "deserter"}

// breakBefore goes wrong before a lock is asked for.
func (w *worker) breakBefore(k *kind, how request) {
	// A waiter whose wake-ups are swallowed.
	if w.Break == "sleeper" && !k.free && how.timeout == longestWait && rand.IntN(20) == 0 {
		time.Sleep(longestWait)
	}
}

// breakAfter goes wrong when the answer is there.
func (w *worker) breakAfter(k *kind, h *held, err error) error {
	switch {
	case w.Break == "greedy" && errors.Is(err, portalocker.ErrAlreadyLocked) && k.liveness == "" && rand.IntN(50) == 0:
		// It takes a refusal for the lock.
		*h = held{release: func() error { return nil }}
		return nil
	case w.Break == "believer" && err == nil && h.err != nil:
		// It never looks whether it has lost the lock, and holds it for long.
		if rand.IntN(20) == 0 {
			h.longer = 3 * ttl
		}
		h.err = func() error { return nil }
	case w.Break == "error" && err == nil && rand.IntN(1000) == 0:
		return errors.Join(errors.New("made up"), h.release())
	case w.Break == "deserter" && err == nil && k.name == "flock" && rand.IntN(200) == 0:
		// It forgets to release, while it says that it has.
		w.forgotten = append(w.forgotten, h.release)
		h.release = func() error { return nil }
	}
	return err
}

// breakAtEnd leaves something behind.
func (w *worker) breakAtEnd() {
	switch w.Break {
	case "leak":
		w.instances["leak"], _ = os.Open(os.DevNull)
	case "litter":
		_ = os.WriteFile(filepath.Join(w.Folder, ".atomic.0.portalocker-tmp.old"), nil, 0o600)
	}
}
