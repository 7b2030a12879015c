// Package oslock takes and drops one operating-system lock on one open file.
//
// It is the lowest layer: it knows descriptors and mechanisms, and nothing of
// paths, waiting, timeouts or fairness. Each mechanism has a file of its own;
// platform_*.go says which of them a platform offers.
package oslock

import (
	"errors"
	"fmt"
	"runtime"
)

// Mode is what a lock lets others do.
type Mode uint8

const (
	Shared    Mode = iota + 1 // any number of shared holders together
	Exclusive                 // one holder alone
)

// Mechanism names a locking facility of the operating system.
type Mechanism uint8

const (
	Default    Mechanism = iota // the platform's own first choice
	Flock                       // flock(2): belongs to the open file description
	OFD                         // fcntl(2) F_OFD_SETLK: as Flock, but meets fcntl locks
	POSIX                       // fcntl(2) F_SETLK: belongs to the process
	LockFileEx                  // Windows

	Mechanisms // how many there are
)

func (m Mechanism) String() string {
	switch m {
	case Default:
		return "default"
	case Flock:
		return "flock"
	case OFD:
		return "ofd"
	case POSIX:
		return "posix"
	case LockFileEx:
		return "lockfileex"
	}
	return fmt.Sprintf("mechanism %d", uint8(m))
}

// ErrLocked says that somebody else holds a conflicting lock. It is the only
// error of this package that waiting can cure.
var ErrLocked = errors.New("already locked")

// facility is one mechanism on this platform; the zero facility is one that the
// platform lacks.
type facility struct {
	try    func(fd uintptr, mode Mode) error // never waits
	block  func(fd uintptr, mode Mode) error // waits in the kernel
	unlock func(fd uintptr) error            // dropping what is not held is no error
}

// Resolve turns Default into the platform's own choice, and says whether the
// platform has the mechanism at all; if not, the error is errors.ErrUnsupported.
func Resolve(m Mechanism) (Mechanism, error) {
	if m == Default {
		m = platformDefault
	}
	if m >= Mechanisms || facilities[m].try == nil {
		return m, fmt.Errorf("%w: %s has no %s locks", errors.ErrUnsupported, runtime.GOOS, m)
	}
	return m, nil
}

// Try takes the lock or fails at once: with ErrLocked when somebody else has
// it, with the system's error otherwise. On a descriptor that already has a
// lock it converts that lock; a failed conversion may have lost it.
func Try(fd uintptr, m Mechanism, mode Mode) error {
	m, err := Resolve(m)
	if err != nil {
		return err
	}
	return facilities[m].try(fd, mode)
}

// Block waits in the kernel, and so parks a thread, until it has the lock.
func Block(fd uintptr, m Mechanism, mode Mode) error {
	m, err := Resolve(m)
	if err != nil {
		return err
	}
	return facilities[m].block(fd, mode)
}

// Unlock drops the lock at once, also where another process or a child between
// fork and exec has a copy of the descriptor.
func Unlock(fd uintptr, m Mechanism) error {
	m, err := Resolve(m)
	if err != nil {
		return err
	}
	return facilities[m].unlock(fd)
}
