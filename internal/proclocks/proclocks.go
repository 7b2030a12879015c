// Package proclocks tells which file locks there are on this machine, who holds
// them and who waits for them. It knows what Linux shows in /proc; on other systems
// every call fails with errors.ErrUnsupported.
package proclocks

import (
	"fmt"
	"math"
	"time"

	"github.com/portalocker/portalocker/internal/oslock"
)

// FirstTicket is the byte from which on this project's waiters lock one byte each
// as their ticket: FirstTicket plus their arrival, in microseconds of
// CLOCK_MONOTONIC. The type of a ticket does not tell what its waiter wants.
const FirstTicket = 1 << 61

// Lock is one lock that is held, or waited for.
type Lock struct {
	File      FileID
	Path      string // a name of the file; "" where none is to be found
	Mechanism oslock.Mechanism
	Mode      oslock.Mode // 0 where that is not known
	Start     int64       // the first byte that is locked
	Length    int64       // how many; 0 for all up to the end of the file, however it grows
	Waiting   bool
	PID       int       // 0 where that is not known
	Command   string    // the name of the process's command, "" where that is not known
	Since     time.Time // since when it waits; zero where that is not known
}

// FileID names a file as the table of locks does: by the device number of its
// filesystem, which is not always what stat tells, and its inode.
type FileID struct {
	Major, Minor uint32
	Inode        uint64
}

// Device is the device's number as lsblk(8) and others write it.
func (id FileID) Device() string { return fmt.Sprintf("%d:%d", id.Major, id.Minor) }

func (id FileID) String() string { return fmt.Sprintf("%s:%d", id.Device(), id.Inode) }

// lock is the entry without what the table does not tell.
func (e *entry) lock() Lock {
	l := Lock{File: e.file, Mechanism: e.mechanism, Mode: e.mode, Start: e.start, Waiting: e.waiting, PID: e.pid}
	if e.end != math.MaxInt64 {
		l.Length = e.end - e.start + 1
	}
	if e.ticket() {
		// What its owner waits for is the flock.
		l.Mechanism, l.Mode, l.Start, l.Length, l.Waiting = oslock.Flock, 0, 0, 0, true
	}
	return l
}
