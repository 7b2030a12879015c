package portalocker

import (
	"errors"
	"io/fs"
	"time"

	"github.com/portalocker/portalocker/internal/oslock"
	"github.com/portalocker/portalocker/internal/proclocks"
)

// Holder is one lock on a file as somebody holds it or waits for it.
type Holder struct {
	// PID is the process, and Command the name of its command. They are 0 and "" where
	// the system does not tell.
	PID     int
	Command string

	// Mode is Exclusive or Shared. It is 0 where that is not known, as of a process
	// that waits with this package.
	Mode LockFlags

	// Mechanism is Flock, OFD or POSIX.
	Mechanism Mechanism

	// Waiting tells one that waits from one that holds.
	Waiting bool

	// Since is when it came to wait, the time that the machine slept not counted. It is
	// known of the processes that wait with this package, and zero for all others.
	Since time.Time

	// Start is the first byte that is locked, and Length how many are; a Length of 0
	// is all up to the end of the file, however it grows. Both are 0 for Flock.
	Start, Length int64
}

// Holders tells who holds locks on the file that path names, and who waits for them:
// first the holders, then those that the system lets wait, then the processes that
// wait with this package, in the order in which they came. Nobody at all is no error.
// A symlink is followed. For a PIDFileLock, ask for the path with ".lock" added.
//
// It knows flock, OFD and POSIX locks, whatever program they are of. A process that
// inherited a lock is named when the one that took it has ended. Not known are those
// that wait by trying again and again, as this package does with OFD and POSIX; of
// several goroutines of one process that wait, one stands for all.
//
// It needs no permission on the file, but who may not look at a process learns less:
// of locks of other users' processes, Flock and POSIX are told with the PID that took
// them, OFD ones without. It looks at all processes, which takes milliseconds. What
// changes meanwhile is no error, and may be told as it was or as it is.
//
// Only Linux tells all this; elsewhere, and without /proc, the error is
// ErrUnsupported. A path that cannot be looked at is an *fs.PathError. Holders is safe
// for goroutines.
func Holders(path string) ([]Holder, error) {
	if path == "" {
		return nil, &LockError{Op: "holders", Path: path, Err: errors.New("the path is empty")}
	}
	locks, err := proclocks.Of(path)
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		return nil, err
	}
	if err != nil {
		return nil, &LockError{Op: "holders", Path: path, Err: err}
	}
	holders := make([]Holder, len(locks))
	for i, l := range locks {
		holders[i] = Holder{
			PID: l.PID, Command: l.Command,
			Mechanism: Mechanism(l.Mechanism),
			Waiting:   l.Waiting, Since: l.Since,
			Start: l.Start, Length: l.Length,
		}
		switch l.Mode {
		case oslock.Exclusive:
			holders[i].Mode = Exclusive
		case oslock.Shared:
			holders[i].Mode = Shared
		}
	}
	return holders, nil
}
