package portalocker_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
)

// eventsOnly is a check interval that passes in no test: a waiter that has it is
// woken by an event or not at all.
const eventsOnly = time.Hour

// anyLock is what the lock types have in common here.
type anyLock interface {
	portalocker.Locker
	Release() error
}

// newLock makes a lock by the words that tests and roles use for the kinds.
func newLock(kind, path string, opts ...portalocker.Option) (l anyLock, acquire func(context.Context, ...portalocker.Option) error) {
	file := func(f func(context.Context, ...portalocker.Option) (*os.File, error)) func(context.Context, ...portalocker.Option) error {
		return func(ctx context.Context, opts ...portalocker.Option) error {
			_, err := f(ctx, opts...)
			return err
		}
	}
	switch kind {
	case "lock":
		l := portalocker.New(path, opts...)
		return l, file(l.Acquire)
	case "rlock":
		l := portalocker.NewRLock(path, opts...)
		return l, file(l.Acquire)
	case "temporary":
		l := portalocker.NewTemporaryFileLock(path, opts...)
		return l, file(l.Acquire)
	case "pid":
		l := portalocker.NewPIDFileLock(path, opts...)
		return l, l.Acquire
	}
	panic("no kind of lock: " + kind)
}

// kinds are the words for newLock.
var kinds = []string{"lock", "rlock", "temporary", "pid"}

// holdRole is a process that does with one lock what it is told, a line a
// command, and answers each with "ok", "locked" or "error ...". Its arguments are
// the kind, the path, and any of: shared, events (no check interval).
//
//	try      acquires without waiting
//	wait     says "waiting", acquires, waiting for ever
//	release
//	fork     (Unix) see forkRole
func holdRole(p *testproc.Peer, args []string) error {
	opts := []portalocker.Option{portalocker.WithTimeout(portalocker.Forever), portalocker.WithFailWhenLocked(false)}
	for _, arg := range args[2:] {
		switch arg {
		case "shared":
			opts = append(opts, portalocker.WithFlags(portalocker.Shared))
		case "events":
			opts = append(opts, portalocker.WithCheckInterval(eventsOnly))
		}
	}
	l, acquire := newLock(args[0], args[1], opts...)
	for {
		command, ok := p.Hear()
		if !ok {
			return nil
		}
		var err error
		switch command {
		case "try":
			err = acquire(context.Background(), portalocker.WithTimeout(0))
		case "wait":
			p.Say("waiting")
			err = acquire(context.Background())
		case "release":
			err = l.Release()
		default:
			err = fmt.Errorf("no command %q", command)
		}
		switch {
		case err == nil:
			p.Say("ok")
		case errors.Is(err, portalocker.ErrAlreadyLocked):
			p.Say("locked")
		default:
			p.Say("error %s", strings.ReplaceAll(err.Error(), "\n", " | "))
		}
	}
}

// holder starts a process that holds a lock of the kind.
func holder(t *testing.T, kind, path string, args ...string) *testproc.Process {
	t.Helper()
	p := testproc.Start(t, "hold", append([]string{kind, path}, args...)...)
	p.Say("try")
	p.Expect("ok")
	return p
}

// isFree fails unless the lock can be had now, in this process.
func isFree(t *testing.T, kind, path string) {
	t.Helper()
	l, acquire := newLock(kind, path, portalocker.WithTimeout(0))
	if err := acquire(t.Context()); err != nil {
		t.Fatalf("the lock is not free: %v", err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
}
