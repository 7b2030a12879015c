//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/portalocker/portalocker"
)

// Errors that a test cannot bring about everywhere.
func TestLockStatus(t *testing.T) {
	open := func(err error) error { return &fs.PathError{Op: "open", Path: "job.lock", Err: err} }
	locking := func(err error) error { return &portalocker.LockError{Op: "acquire", Path: "job.lock", Err: err} }
	const conflict = 42
	for _, c := range []struct {
		err    error
		status int
		advice string
	}{
		{locking(portalocker.ErrAlreadyLocked), conflict, ""},
		{errors.Join(locking(portalocker.ErrAlreadyLocked), stopped{syscall.SIGINT}), statusSignal + 2, ""},
		{open(syscall.ENOENT), statusNoInput, "folder"},
		{open(syscall.EACCES), statusNoInput, ""},
		{open(syscall.ELOOP), statusNoInput, ""},
		{open(syscall.EMFILE), statusOS, "ulimit"},
		{open(syscall.ENFILE), statusOS, ""},
		{open(syscall.ENOMEM), statusOS, ""},
		{open(syscall.EROFS), statusCannotMake, ""},
		{open(syscall.ENOSPC), statusCannotMake, ""},
		{open(syscall.EDQUOT), statusCannotMake, ""},
		{&os.LinkError{Op: "rename", Old: "job.pid.tmp", New: "job.pid", Err: syscall.EPERM}, statusCannotMake, ""},
		{locking(syscall.ENOLCK), statusOS, "no locks left"},
		{locking(syscall.ENOMEM), statusOS, ""},
		{locking(syscall.EINVAL), statusData, ""},
		{locking(fmt.Errorf("cannot resolve the relative path: %w", os.NewSyscallError("getwd", syscall.ENOENT))), statusNoInput, ""},
		{locking(fmt.Errorf("%w by this filesystem: %w", portalocker.ErrUnsupported, syscall.EOPNOTSUPP)), statusData, ""},
		{locking(fmt.Errorf("%w: plan9 has no flock locks", portalocker.ErrUnsupported)), statusUsage, "--mechanism"},
	} {
		end := &exit{}
		if !errors.As(lockFailed(c.err, conflict), &end) || end.status != c.status {
			t.Errorf("%v: status %d, want %d", c.err, end.status, c.status)
		}
		if said := end.err.Error(); !strings.HasPrefix(said, c.err.Error()) || !strings.Contains(said[len(c.err.Error()):], c.advice) {
			t.Errorf("%v: says %q, want advice with %q", c.err, said, c.advice)
		}
	}
}

func TestStartStatus(t *testing.T) {
	for errno, want := range map[syscall.Errno]int{
		syscall.ENOENT: statusNoCommand,
		syscall.EACCES: statusNoCommand,
		syscall.E2BIG:  statusNoCommand,
		syscall.EAGAIN: statusOS,
		syscall.ENOMEM: statusOS,
	} {
		if got := startStatus(&fs.PathError{Op: "fork/exec", Path: "/bin/true", Err: errno}); got != want {
			t.Errorf("%v: status %d, want %d", errno, got, want)
		}
	}
}

func TestComplainIsOneLine(t *testing.T) {
	r, w := pipe(t)
	complain(streams{err: w}, errors.Join(errors.New("this"), stopped{syscall.SIGTERM}))
	_ = w.Close()
	said := make([]byte, 100)
	n, err := r.Read(said)
	if got := string(said[:n]); err != nil || got != "portalocker: this; stopped by signal: terminated\n" {
		t.Errorf("said %q (%v)", got, err)
	}
	if !errors.Is(stopped{syscall.SIGTERM}, context.Canceled) {
		t.Error("a signal is no cancellation")
	}
}
