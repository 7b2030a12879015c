package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/notify"
)

// errTimeout says that the lock did not come in time.
var errTimeout = errors.New("timeout while waiting to get lock")

// settleTimeout refuses the times that timer_settime(2) refuses, and makes one of
// less than a microsecond a single try.
func (f *flockCall) settleTimeout() error {
	const microsecond = 1e-6
	switch {
	case !f.timed:
	case math.Abs(f.seconds) < microsecond:
		f.nonblock, f.timed = true, false
	case !(f.seconds > 0 && f.seconds < math.MaxInt64): // what is not a number is neither
		return &exit{status: statusOS, err: fmt.Errorf("cannot set up timer: %s", reason(syscall.EINVAL))}
	case f.seconds > portalocker.Forever.Seconds()/2:
		f.timed = false
	}
	return nil
}

func (f *flockCall) lock() error {
	err := f.ask(portalocker.NonBlocking)
	if f.readWriteHelps(err) {
		if file, openErr := openForFlock(f.path, os.O_RDWR); openErr == nil {
			_ = f.file.Close() // first, as that would drop an fcntl lock on the other
			f.file = file
			err = f.ask(portalocker.NonBlocking)
		}
	}
	switch {
	case f.nonblock, !errors.Is(err, portalocker.ErrAlreadyLocked):
		return err
	case !f.timed:
		return f.ask(0)
	}
	timeout := time.Duration(f.seconds * float64(time.Second))
	if f.ofDescriptor() {
		return f.pollFor(timeout)
	}
	return f.blockFor(timeout)
}

// ask asks the system once. It waits in the kernel unless how is NonBlocking.
func (f *flockCall) ask(how portalocker.LockFlags) error {
	if f.flags == portalocker.Unblock {
		return portalocker.UnlockFile(f.file)
	}
	return portalocker.LockFile(f.file, f.flags|how)
}

// readWriteHelps: over NFS, and on systems whose locks are those of fcntl(2), an
// exclusive lock needs a file that is open for writing.
func (f *flockCall) readWriteHelps(err error) bool {
	return !f.ofDescriptor() && f.flags == portalocker.Exclusive &&
		(errors.Is(err, syscall.EBADF) || errors.Is(err, syscall.EIO))
}

// blockFor waits in the kernel, which serves this process like every flock(1).
// Nothing ends that wait but the end of the process, which errTimeout leads to; a
// lock that comes before that is this process's alone, and ends with it.
func (f *flockCall) blockFor(timeout time.Duration) error {
	came := make(chan error, 1)
	go func() { came <- f.ask(0) }()
	select {
	case err := <-came:
		return err
	case <-time.After(timeout):
		return errTimeout
	}
}

// pollFor tries again and again. A lock on a descriptor belongs to the caller too,
// and would outlive this process if it came in the moment after the timeout. So
// nothing may ask for it then, and a wait in the kernel cannot be called off with
// certainty.
//
// On Linux each close of the file ends a pause. What unlocks without closing, as
// "flock -u" does, is found out by trying.
func (f *flockCall) pollFor(timeout time.Duration) error {
	const firstPause = time.Millisecond
	end := time.Now().Add(timeout)
	watch, watchErr := notify.New(f.file)
	pause := firstPause
	for {
		err := f.ask(portalocker.NonBlocking)
		now := time.Now()
		switch {
		case !errors.Is(err, portalocker.ErrAlreadyLocked):
			return err
		case !now.Before(end):
			return errTimeout
		}
		until := now.Add(min(pause, end.Sub(now)))
		pause = min(2*pause, portalocker.DefaultCheckInterval)
		switch {
		case watchErr != nil:
			time.Sleep(time.Until(until))
		case watch.Wait(context.Background(), until):
			// The kernel tells of a close just before it drops the file's lock: if the
			// next try is too early, the one after it must come soon.
			pause = firstPause
		}
	}
}

// notLocked is the end after an error of lock.
func (f *flockCall) notLocked(err error) error {
	end := &exit{status: statusData}
	switch {
	case errors.Is(err, errTimeout):
		end.status, end.err = f.conflict, err
	case errors.Is(err, portalocker.ErrAlreadyLocked):
		end.status, end.err = f.conflict, errors.New("failed to get lock")
	default:
		what := f.path
		if f.ofDescriptor() {
			what = strconv.Itoa(f.fd)
		}
		if isAnyOf(err, exhausted) {
			end.status = statusOS
		}
		end.err = fmt.Errorf("%s: %s", what, reason(err))
		return end
	}
	if !f.verbose {
		end.err = nil
	}
	return end
}
