package main

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/portalocker/portalocker"
)

// path is where the file of a lock is.
func (w *worker) path(name string) string { return filepath.Join(w.Folder, name+".lock") }

// wait are the options of a request, for kinds that would not wait by default too.
func (how request) wait() []portalocker.Option {
	return []portalocker.Option{portalocker.WithTimeout(how.timeout), portalocker.WithFailWhenLocked(false)}
}

// shareable has the goroutines of a process use the same instance half of the time.
func shareable[L any](w *worker, k *kind, how request, make func() L) L {
	if how.random.IntN(2) == 0 {
		return make()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	l, ok := w.instances[k.name].(L)
	if !ok {
		l = make()
		w.instances[k.name] = l
	}
	return l
}

func plain(m portalocker.Mechanism) func(*worker, *kind, request) (held, error) {
	return func(w *worker, k *kind, how request) (held, error) {
		l := shareable(w, k, how, func() *portalocker.Lock {
			return portalocker.New(w.path(k.name), portalocker.WithMechanism(m))
		})
		opts := how.wait()
		if how.shared {
			opts = append(opts, portalocker.WithFlags(portalocker.Shared))
		}
		_, err := l.Acquire(how.ctx, opts...)
		return held{release: l.Release}, err
	}
}

// counted acquires an RLock twice. Each has an instance of its own, since those who
// share one are not excluded from each other.
func counted(w *worker, k *kind, how request) (held, error) {
	l := portalocker.NewRLock(w.path(k.name))
	opts := how.wait()
	if how.shared {
		opts = append(opts, portalocker.WithFlags(portalocker.Shared))
	}
	if _, err := l.Acquire(how.ctx, opts...); err != nil {
		return held{}, err
	}
	how.ctx = context.Background() // it may have ended by now
	if _, err := l.Acquire(how.ctx, opts...); err != nil {
		return held{}, errors.Join(fmt.Errorf("counting up: %w", err), l.Release())
	}
	return held{release: func() error { return errors.Join(l.Release(), l.Release()) }}, nil
}

func temporary(w *worker, k *kind, how request) (held, error) {
	l := shareable(w, k, how, func() *portalocker.TemporaryFileLock {
		return portalocker.NewTemporaryFileLock(w.path(k.name))
	})
	_, err := l.Acquire(how.ctx, how.wait()...)
	return held{release: l.Release}, err
}

// pidFile looks whether the PID file names the holder.
func pidFile(w *worker, k *kind, how request) (held, error) {
	l := shareable(w, k, how, func() *portalocker.PIDFileLock {
		return portalocker.NewPIDFileLock(filepath.Join(w.Folder, k.name))
	})
	if err := l.Acquire(how.ctx, how.wait()...); err != nil {
		return held{}, err
	}
	pid, err := l.ReadPID()
	if err == nil && pid != os.Getpid() {
		w.wrong("the PID file of the lock that process %d holds says %d", os.Getpid(), pid)
	}
	if err != nil && classOf(err) == unexpected {
		w.wrong("the PID file of a lock that is held cannot be read: %v", err)
	}
	return held{release: l.Release}, nil
}

// semaphore takes a slot of one of the two kinds.
func semaphore(new func(w *worker, k *kind) *portalocker.NamedBoundedSemaphore) func(*worker, *kind, request) (held, error) {
	return func(w *worker, k *kind, how request) (held, error) {
		s := shareable(w, k, how, func() *portalocker.NamedBoundedSemaphore { return new(w, k) })
		slot, err := s.Acquire(how.ctx, how.wait()...)
		if err != nil {
			return held{}, err
		}
		return held{release: slot.Release}, nil
	}
}

func named(w *worker, k *kind) *portalocker.NamedBoundedSemaphore {
	return portalocker.NewNamedBoundedSemaphore(k.permits, k.name, portalocker.WithDirectory(w.Folder))
}

func bounded(w *worker, k *kind) *portalocker.NamedBoundedSemaphore {
	return portalocker.NewBoundedSemaphore(k.permits, portalocker.WithDirectory(w.Folder)).NamedBoundedSemaphore
}

// atomicFile replaces a file, or reads it, who shares: it must be a whole version.
func atomicFile(w *worker, k *kind, how request) (held, error) {
	path := filepath.Join(w.Folder, k.name)
	none := held{release: func() error { return nil }}
	if !how.shared {
		body := strings.Repeat(fmt.Sprintf("%016x", how.random.Uint64()), 1+how.random.IntN(4000))
		content := fmt.Sprintf("%08x%s", crc32.ChecksumIEEE([]byte(body)), body)
		return none, portalocker.WriteFileAtomic(path, []byte(content), 0o666, portalocker.WithReplace())
	}
	content, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !w.seen.Load():
		return none, nil // nobody has written it yet, as far as this process knows
	case err != nil:
		return none, err
	}
	w.seen.Store(true)
	if len(content) < 8 || fmt.Sprintf("%08x", crc32.ChecksumIEEE(content[8:])) != string(content[:8]) {
		w.wrong("a reader of the atomic file found %d bytes that are no whole version", len(content))
	}
	return none, nil
}
