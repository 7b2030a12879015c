//go:build unix

package interop

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
)

// peerLock is a lock as both peers know it.
type peerLock struct {
	try, wait func() error
	release   func() error
	pid       func() (int, error) // of a PID file
	names     func() []string     // of a semaphore
	atomic    *atomicPeer         // instead of all the others
}

// peerRole is a process that does with one lock what it is told, as peer.py is. Its
// arguments are the kind, the path, and any of: shared, limit=N. It hears a command a
// line:
//
//	try                       acquires without waiting
//	wait                      says "waiting" when it found the lock held, and acquires
//	release
//	pid                       reads the PID file
//	names                     the names of a semaphore's slots
//	turns COUNT LIMIT FOLDER  acquires and releases, and counts in a folder who is inside
//	open NAME, write LETTER SIZE, commit    the steps of an atomic file; the path is its folder
//
// and answers each with "ok", with what was asked for behind it, "locked", with the
// holder's PID behind it where that is known, "exists", or "error ...".
func peerRole(p *testproc.Peer, args []string) error {
	lock, err := newPeerLock(args[0], args[1], args[2:])
	if err != nil {
		return err
	}
	for {
		line, ok := p.Hear()
		if !ok {
			return nil
		}
		said, err := lock.obey(p, strings.Fields(line))
		var lockErr *portalocker.LockError
		switch {
		case err == nil:
			p.Say("ok %s", said)
		case errors.Is(err, portalocker.ErrAlreadyLocked) && errors.As(err, &lockErr) && lockErr.HolderPID != 0:
			p.Say("locked %d", lockErr.HolderPID)
		case errors.Is(err, portalocker.ErrAlreadyLocked):
			p.Say("locked")
		case errors.Is(err, fs.ErrExist):
			p.Say("exists %v", err)
		default:
			p.Say("error %s", strings.ReplaceAll(err.Error(), "\n", " | "))
		}
	}
}

// newPeerLock makes a lock by the words that the tests use for the kinds.
func newPeerLock(kind, path string, words []string) (*peerLock, error) {
	opts := []portalocker.Option{portalocker.WithTimeout(portalocker.Forever), portalocker.WithFailWhenLocked(false)}
	flags, limit := portalocker.Exclusive, 1
	for _, word := range words {
		if word == "shared" {
			flags = portalocker.Shared
			opts = append(opts, portalocker.WithFlags(flags))
		}
		if n, ok := strings.CutPrefix(word, "limit="); ok {
			var err error
			if limit, err = strconv.Atoi(n); err != nil {
				return nil, err
			}
		}
	}
	switch kind {
	case "posix":
		opts = append(opts, portalocker.WithMechanism(portalocker.POSIX))
	case "ofd":
		opts = append(opts, portalocker.WithMechanism(portalocker.OFD))
	}
	switch kind {
	case "lock", "posix", "ofd":
		l := portalocker.New(path, opts...)
		return ofAcquire(l.Acquire, l.Release), nil
	case "rlock":
		l := portalocker.NewRLock(path, opts...)
		return ofAcquire(l.Acquire, l.Release), nil
	case "temporary":
		l := portalocker.NewTemporaryFileLock(path, opts...)
		return ofAcquire(l.Acquire, l.Release), nil
	case "pid":
		l := portalocker.NewPIDFileLock(path, opts...)
		acquire := func(ctx context.Context, opts ...portalocker.Option) (struct{}, error) {
			return struct{}{}, l.Acquire(ctx, opts...)
		}
		lock := ofAcquire(acquire, l.Release)
		lock.pid = l.ReadPID
		return lock, nil
	case "named":
		s := portalocker.NewNamedBoundedSemaphore(limit, filepath.Base(path), append(opts, portalocker.WithDirectory(filepath.Dir(path)))...)
		return ofSemaphore(s), nil
	case "named-default-folder":
		return ofSemaphore(portalocker.NewNamedBoundedSemaphore(limit, filepath.Base(path), opts...)), nil
	case "bounded":
		s := portalocker.NewBoundedSemaphore(limit, append(opts, portalocker.WithDirectory(filepath.Dir(path)))...)
		lock := ofAcquire(s.Acquire, s.Release)
		lock.names = s.Filenames
		return lock, nil
	case "function":
		return ofFunctions(path, flags)
	case "atomic":
		return &peerLock{atomic: &atomicPeer{folder: path}}, nil
	}
	return nil, fmt.Errorf("no kind %q", kind)
}

func ofAcquire[T any](acquire func(context.Context, ...portalocker.Option) (T, error), release func() error) *peerLock {
	try := func(opts ...portalocker.Option) error {
		_, err := acquire(context.Background(), opts...)
		return err
	}
	return &peerLock{
		try:     func() error { return try(portalocker.WithTimeout(0)) },
		wait:    func() error { return try() },
		release: release,
	}
}

func ofSemaphore(s *portalocker.NamedBoundedSemaphore) *peerLock {
	lock := ofAcquire(s.Acquire, s.Release)
	lock.names = s.Filenames
	return lock
}

// ofFunctions is LockFile and UnlockFile on a file that is open; it waits in the kernel.
func ofFunctions(path string, flags portalocker.LockFlags) (*peerLock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	return &peerLock{
		try:     func() error { return portalocker.LockFile(f, flags|portalocker.NonBlocking) },
		wait:    func() error { return portalocker.LockFile(f, flags) },
		release: func() error { return portalocker.UnlockFile(f) },
	}, nil
}

func (l *peerLock) obey(p *testproc.Peer, words []string) (string, error) {
	if l.atomic != nil {
		return "", l.atomic.obey(words)
	}
	switch words[0] {
	case "try":
		return "", l.try()
	case "wait":
		// A first try, so that "waiting" is said only where there is something to
		// wait for, as peer.py says it.
		err := l.try()
		if errors.Is(err, portalocker.ErrAlreadyLocked) {
			p.Say("waiting")
			err = l.wait()
		}
		return "", err
	case "release":
		return "", l.release()
	case "pid":
		pid, err := l.pid()
		return strconv.Itoa(pid), err
	case "names":
		return strings.Join(l.names(), " "), nil
	case "turns":
		count, err := strconv.Atoi(words[1])
		if err != nil {
			return "", err
		}
		limit, err := strconv.Atoi(words[2])
		if err != nil {
			return "", err
		}
		return "", l.turns(count, limit, words[3])
	}
	return "", fmt.Errorf("no command %q", words[0])
}

// turns takes the lock again and again. Whoever has it has a file in the folder, so
// there are never more of those than may have the lock.
func (l *peerLock) turns(count, limit int, folder string) error {
	mine := filepath.Join(folder, strconv.Itoa(os.Getpid()))
	for range count {
		if err := l.wait(); err != nil {
			return err
		}
		if err := os.WriteFile(mine, nil, 0o666); err != nil {
			return err
		}
		inside, err := os.ReadDir(folder)
		if err != nil {
			return err
		}
		if len(inside) > limit {
			return fmt.Errorf("%d inside: %v", len(inside), inside)
		}
		if err := os.Remove(mine); err != nil {
			return err
		}
		if err := l.release(); err != nil {
			return err
		}
	}
	return nil
}

// atomicPeer writes atomic files in steps.
type atomicPeer struct {
	folder string
	file   *portalocker.AtomicFile
}

func (a *atomicPeer) obey(words []string) error {
	var err error
	switch words[0] {
	case "open":
		a.file, err = portalocker.OpenAtomic(filepath.Join(a.folder, words[1]))
		return err
	case "write":
		size, err := strconv.Atoi(words[2])
		if err != nil {
			return err
		}
		_, err = a.file.WriteString(strings.Repeat(words[1], size))
		return err
	case "commit":
		return a.file.Commit()
	}
	return fmt.Errorf("no command %q", words[0])
}
