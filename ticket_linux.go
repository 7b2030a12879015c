package portalocker

import (
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portalocker/portalocker/internal/notify"
	"github.com/portalocker/portalocker/internal/oslock"
	"github.com/portalocker/portalocker/internal/proclocks"
)

// Tickets keep the order of arrival among the processes that wait for a flock.
//
// A ticket is an open-file-description lock on one byte of the lock file, far
// beyond its end: byte 2^61 + the waiter's arrival in microseconds of the
// machine's monotonic clock. Such byte locks and flock do not see each other on
// local filesystems, so a ticket excludes nobody. It is a read lock, so that two
// arrivals in one microsecond may share a byte; on a descriptor that is open for
// writing only it is a write lock on the next free byte. It vanishes with its
// descriptor: a killed or cancelled waiter leaves nothing behind.
//
// Asking whether a write lock over a range could be had (F_OFD_GETLK, which takes
// no lock) tells whether somebody else's ticket is in that range.
const firstTicket = proclocks.FirstTicket // 2^61; holders are listed by it too

// ticketWindow is how many waiting processes are the front of the queue. Only
// those watch the lock file, since each of them wakes for each release. The first
// takes the lock; the second sees to it that nothing is lost if the first dies.
// The others have a bell, which is rung when they get to the front.
const ticketWindow = 2

// ticketQueue is the queue of a lock file as one waiter sees it.
type ticketQueue struct {
	fd      uintptr
	id      fileID
	arrival int64 // this waiter's, in microseconds
	ticket  int64 // the byte that this waiter has locked; 0 for none
}

// clock ties Go's monotonic clock, which is cheap to read but counts from the
// start of the process, to CLOCK_MONOTONIC, which is the same for all processes.
var clock = sync.OnceValue(func() (c struct {
	at      time.Time
	reading int64 // in microseconds
}) {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) == nil { // it fails on no Linux that Go runs on
		c.reading = ts.Nano() / int64(time.Microsecond)
	}
	c.at = time.Now()
	return c
})

// arrival is a moment in microseconds that all processes of this machine count
// alike and that no setting of the clock changes.
func arrival(at time.Time) int64 {
	c := clock()
	return c.reading + int64(at.Sub(c.at)/time.Microsecond)
}

// localFilesystem says whether f lies where flock and byte-range locks are two
// different things, as tickets need it. Over NFS and SMB, flock is made of a
// byte-range lock and would meet the tickets; what FUSE does is anyone's guess.
func localFilesystem(fd uintptr) bool {
	var st unix.Statfs_t
	if unix.Fstatfs(int(fd), &st) != nil {
		return false // also when a signal came: without order, this once
	}
	switch uint32(st.Type) { // the type of the field differs between architectures
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC,
		unix.RAMFS_MAGIC, unix.OVERLAYFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC, zfsMagic, bcachefsMagic:
		return true
	}
	return false
}

// Two that golang.org/x/sys does not name: statfs(2) of OpenZFS and bcachefs.
const (
	zfsMagic      = 0x2fc12fc1
	bcachefsMagic = 0xca451a4e
)

// ahead counts the tickets before this waiter's, up to ticketWindow, and gives the
// first of them, 0 if there is none.
func (q *ticketQueue) ahead() (n int, first int64) {
	tickets := q.tickets(firstTicket, firstTicket+q.arrival)
	if len(tickets) > 0 {
		first = tickets[0]
	}
	return len(tickets), first
}

// tickets gives the lowest tickets of others from one byte up to another, but not
// more than ticketWindow.
func (q *ticketQueue) tickets(from, to int64) []int64 {
	var lowest []int64
	for len(lowest) < ticketWindow {
		at, ok := lowestTicket(q.anyTicket, from, to)
		if !ok {
			break
		}
		lowest = append(lowest, at)
		from = at + 1
	}
	return lowest
}

// lowestTicket finds the lowest ticket of a range. The kernel answers with any of
// them, most often with the oldest, so a few questions do. Whoever may open the file
// can place tickets by the thousand so that each answer is but a little lower than
// the last; therefore those that follow halve the range.
func lowestTicket(anyTicket func(from, to int64) (int64, bool), from, to int64) (int64, bool) {
	const few = 8
	at, ok := anyTicket(from, to)
	for asked := 1; ok && from < at; asked++ {
		below := at
		if asked > few {
			below = from + (at-from+1)/2
		}
		lower, found := anyTicket(from, below)
		switch {
		case found:
			at = lower
		case below == at:
			return at, true
		default:
			from = below
		}
	}
	return at, ok
}

func (q *ticketQueue) anyTicket(from, to int64) (int64, bool) {
	if from >= to {
		return 0, false
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK, Start: from, Len: to - from}
	err := unix.FcntlFlock(q.fd, unix.F_OFD_GETLK, &lock)
	// A lock that begins before the range is no ticket but somebody's fcntl lock on
	// the whole file. It has nothing to do with the flock; the order is lost for as
	// long as it is there.
	return lock.Start, err == nil && lock.Type != unix.F_UNLCK && lock.Start >= from
}

// join takes a ticket, and hangs up a bell if one is wanted. Without a ticket a
// waiter stays correct and only loses its place, and without a bell it looks by
// the clock, so there is nothing to do about a failure.
func (q *ticketQueue) join(withBell bool) (bell *notify.Bell) {
	lock := unix.Flock_t{Type: unix.F_RDLCK, Len: 1}
	// More than ever arrive in one microsecond, and want to stand alone there.
	for lock.Start = firstTicket + q.arrival; lock.Start < firstTicket+q.arrival+1000; lock.Start++ {
		if withBell && bell == nil {
			var err error
			if bell, err = notify.HangBell(q.bellOf(lock.Start)); errors.Is(err, unix.EADDRINUSE) {
				continue
			}
			withBell = err == nil
		}
		err := q.set(&lock)
		if errors.Is(err, unix.EBADF) && lock.Type == unix.F_RDLCK { // not open for reading
			lock.Type = unix.F_WRLCK
			err = q.set(&lock)
		}
		if err == nil {
			q.ticket = lock.Start
			return bell
		}
		if bell != nil {
			bell.Close()
			bell = nil
		}
		if !errors.Is(err, unix.EAGAIN) {
			break
		}
	}
	return nil
}

// bellOf names the bell of a ticket's owner.
func (q *ticketQueue) bellOf(ticket int64) string {
	return fmt.Sprintf("portalocker/%x:%x/%x", q.id.dev, q.id.ino, ticket)
}

// leave gives the ticket back, if there is one, and tells which it was. The
// descriptor may live on, as the holder's.
func (q *ticketQueue) leave() (ticket int64) {
	if q.ticket != 0 {
		_ = q.set(&unix.Flock_t{Type: unix.F_UNLCK, Start: q.ticket, Len: 1}) // fails on a bad descriptor only
	}
	return q.ticket
}

// ring rings for the first waiters from a ticket on.
func (q *ticketQueue) ring(from int64) {
	var names []string
	for _, ticket := range q.tickets(from, math.MaxInt64) {
		names = append(names, q.bellOf(ticket))
	}
	if len(names) > 0 {
		notify.Ring(names...)
	}
}

// stir gives a hint to those who watch the file, if any of them stands behind a ticket.
func (q *ticketQueue) stir(from int64) {
	if len(q.tickets(from, math.MaxInt64)) > 0 {
		_ = tell(q.fd) // otherwise they look by the clock
	}
}

// tell gives a hint to those who watch an open file: it opens it once more, and closes
// that in the way that drops no POSIX lock of this process.
func tell(fd uintptr) error {
	again, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fd), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	return oslock.Close(again)
}

func (q *ticketQueue) set(lock *unix.Flock_t) error {
	for {
		if err := unix.FcntlFlock(q.fd, unix.F_OFD_SETLK, lock); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
