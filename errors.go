package portalocker

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

var (
	// ErrLock is every error of this package that concerns a lock, so
	// errors.Is(err, ErrLock) tells them from errors of opening a file.
	ErrLock = errors.New("lock error")

	// ErrAlreadyLocked says that somebody else holds the lock, also when it was
	// waited for until a timeout or the end of a context.
	ErrAlreadyLocked = errors.New("already locked")

	// ErrNotHeld says that a lock was released that is not held.
	ErrNotHeld = errors.New("not held")

	// ErrUnsupported says that this platform or filesystem lacks what was asked
	// for. It is errors.ErrUnsupported.
	ErrUnsupported = errors.ErrUnsupported
)

// LockError is what went wrong with one lock. It is ErrLock, and everything that
// it wraps; for a context that ended, that is ErrAlreadyLocked, the context's
// error and its cause.
//
// On Linux the holder's name comes from /proc/locks. To read that holds up the file
// locks of all programs for a moment, so a process does it for a twentieth of the time
// at most: where many tries are refused, by ever other holders, some errors have no name.
type LockError struct {
	Op   string // what was tried: "acquire", "release", "lock", "unlock", "read pid"
	Path string // the lock's path, as it was given
	Err  error  // why it failed; ErrAlreadyLocked when somebody else has the lock

	HolderPID     int           // who has the lock, 0 where that is not known
	HolderHost    string        // the holder's machine, "" for this one
	HolderCommand string        // the holder's command name, "" where that is not known
	Waited        time.Duration // how long the lock was waited for; 0 after a single try

	Cause error // the error and the cause of the context that ended the wait, nil if no context did
}

// Error is one line: what, where, who and how long.
func (e *LockError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: %s", e.Op, printable(e.Path), oneLine(e.Err))
	if e.HolderPID > 0 {
		fmt.Fprintf(&b, " by pid %d", e.HolderPID)
		if e.HolderHost != "" {
			fmt.Fprintf(&b, " on %s", printable(e.HolderHost))
		}
		if e.HolderCommand != "" {
			fmt.Fprintf(&b, " (%s)", printable(e.HolderCommand))
		}
	}
	if e.Waited > 0 {
		fmt.Fprintf(&b, ", gave up after %v", rounded(e.Waited))
	}
	if e.Cause != nil {
		fmt.Fprintf(&b, ": %s", oneLine(e.Cause))
	}
	return b.String()
}

// Unwrap gives what the error wraps, for errors.Is and errors.As.
func (e *LockError) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.Cause}
}

// Is makes every LockError an ErrLock.
func (e *LockError) Is(target error) bool { return target == ErrLock }

// join is errors.Join that leaves a single error as it is, and puts two on one
// line.
func join(err, more error) error {
	switch {
	case more == nil:
		return err
	case err == nil:
		return more
	}
	return both{err, more}
}

type both [2]error

func (b both) Error() string   { return b[0].Error() + "; " + b[1].Error() }
func (b both) Unwrap() []error { return b[:] }

// rounded leaves three or four digits of a duration.
func rounded(d time.Duration) time.Duration {
	unit := time.Nanosecond
	for d/unit >= 10_000 {
		unit *= 10
	}
	return d.Round(unit)
}

// oneLine is an error's message without what would break a line or speak to the
// terminal: errors from below may name files.
func oneLine(err error) string {
	if err == nil {
		return "unknown error"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ReplaceAll(err.Error(), "\n", "; "))
}

// printable quotes names that would break a message of one line or speak to the
// terminal. File and command names may hold any byte.
func printable(s string) string {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return strconv.Quote(s)
	}
	return s
}
