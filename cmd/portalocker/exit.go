package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/redislock"
)

// The exit statuses are those of flock(1), which takes them from sysexits(3).
const (
	statusConflict   = 1   // the lock was not to be had; --conflict-exit-code changes it
	statusUsage      = 64  // EX_USAGE
	statusData       = 65  // EX_DATAERR: the file was opened, but cannot be locked
	statusNoInput    = 66  // EX_NOINPUT: the lock file cannot be opened
	statusNoCommand  = 69  // EX_UNAVAILABLE: the command cannot be executed
	statusNoServer   = 69  // EX_UNAVAILABLE: the server cannot be asked
	statusOS         = 71  // EX_OSERR
	statusCannotMake = 73  // EX_CANTCREAT: the lock file cannot be created
	statusLost       = 75  // EX_TEMPFAIL: the lock was lost while the command ran
	statusSignal     = 128 // and the number of the signal
)

// exit is how this program ends: the status, and what to say on standard error,
// nothing if err is nil.
type exit struct {
	status int
	err    error

	// raise is the signal to die of instead, as far as the system allows it. A shell
	// that runs a script or a loop ends it at Ctrl-C only if the command has died of
	// SIGINT, and has not just a status that says so.
	raise os.Signal
}

func (e *exit) Error() string { return fmt.Sprintf("exit status %d: %v", e.status, e.err) }

func (e *exit) Unwrap() error { return e.err }

func usageError(format string, args ...any) error {
	return &exit{status: statusUsage, err: fmt.Errorf(format, args...)}
}

// stopped is the signal that ended a wait. It is the cause of a context's end.
type stopped struct{ signal os.Signal }

func (s stopped) Error() string { return fmt.Sprintf("stopped by signal: %v", s.signal) }

// Is makes it the context's error too, which would say nothing more.
func (s stopped) Is(target error) bool { return target == context.Canceled }

// lockFailed is the end of this program after an acquisition failed.
func lockFailed(err error, conflict int) *exit {
	return &exit{status: lockStatus(err, conflict), err: advised(err)}
}

func lockStatus(err error, conflict int) int {
	var sig stopped
	var path *fs.PathError
	var link *os.LinkError
	var folder *os.SyscallError // of os.Getwd, for a relative path
	switch {
	case errors.As(err, &sig):
		return signalStatus(sig.signal)
	case errors.Is(err, portalocker.ErrAlreadyLocked):
		return conflict
	case errors.Is(err, redislock.ErrUnavailable): // whatever the reason
		return statusNoServer
	case isAnyOf(err, exhausted):
		return statusOS
	case isAnyOf(err, uncreatable), errors.As(err, &link): // a PID file that cannot take its name
		return statusCannotMake
	case errors.As(err, &path), errors.As(err, &folder):
		return statusNoInput
	case noSuchMechanism(err):
		return statusUsage
	}
	return statusData
}

// startStatus is the exit status when the command could not be started.
func startStatus(err error) int {
	if isAnyOf(err, exhausted) {
		return statusOS
	}
	return statusNoCommand
}

func signalStatus(sig os.Signal) int {
	if n, ok := sig.(syscall.Signal); ok {
		return statusSignal + int(n)
	}
	return statusSignal
}

// advised adds what to do to errors that do not say it.
func advised(err error) error {
	advice := ""
	var path *fs.PathError
	isOpen := errors.As(err, &path) && path.Op == "open"
	switch {
	case isOpen && errors.Is(err, fs.ErrNotExist):
		advice = "the folder of a lock file must exist"
	case errors.Is(err, syscall.EMFILE):
		advice = "too many files are open in this process: see 'ulimit -n'"
	case errors.Is(err, syscall.ENOLCK):
		advice = "the system or the file server has no locks left"
	case noSuchMechanism(err):
		advice = "leave out --mechanism"
	}
	if advice == "" {
		return err
	}
	return fmt.Errorf("%w (%s)", err, advice)
}

// noSuchMechanism: the platform lacks it. Where only a filesystem lacks it, an
// error number of the system says so.
func noSuchMechanism(err error) bool {
	var errno syscall.Errno
	return errors.Is(err, portalocker.ErrUnsupported) && !errors.As(err, &errno)
}

// cannotExecute is why a command could not be started, without Go's words for it.
func cannotExecute(name string, found bool, err error) error {
	var lookup *exec.Error
	var start *fs.PathError
	switch {
	case errors.As(err, &lookup):
		err = lookup.Err
	case errors.As(err, &start):
		err = start.Err
	}
	err = advised(err)
	if found && errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot execute %q: %w (the file is there, so what is missing is its interpreter)", name, err)
	}
	return fmt.Errorf("cannot execute %q: %w", name, err)
}

// complain prints one line, whatever the error's text is: it may name files that others
// have made. It does not wait for long where nobody reads, from a pipe that is full or
// on a terminal that Ctrl-S has stopped: what there is to be done matters more.
func complain(std streams, err error) {
	if writable(std.err, time.Second) {
		// Nothing is left to be done if standard error is closed.
		_, _ = fmt.Fprintln(std.err, "portalocker:", plain(strings.ReplaceAll(err.Error(), "\n", "; ")))
	}
}

func isAnyOf(err error, numbers []syscall.Errno) bool {
	for _, n := range numbers {
		if errors.Is(err, n) {
			return true
		}
	}
	return false
}
