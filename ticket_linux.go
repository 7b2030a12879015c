package portalocker

import (
	"errors"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
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
const firstTicket = 1 << 61

// ticketWindow is how many waiting processes count as the front of the queue.
// Those watch the lock file; the others look now and then whether they have got
// there. Few, since every one of them wakes for every release; more than one,
// since a front that has moved up is noticed from behind with a delay.
const ticketWindow = 3

// ticketQueue is the queue of a lock file as one waiter sees it.
type ticketQueue struct {
	conn    syscall.RawConn
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
func localFilesystem(conn syscall.RawConn) bool {
	var st unix.Statfs_t
	err := control(conn, func(fd uintptr) error {
		for {
			if err := unix.Fstatfs(int(fd), &st); !errors.Is(err, unix.EINTR) {
				return err
			}
		}
	})
	if err != nil {
		return false
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

// rank counts the tickets before this waiter's, up to limit, and finds the first
// of them (its arrival; 0 when there is none).
func (q *ticketQueue) rank(limit int) (n int, first int64) {
	// Ranges still to be looked at, the lowest on top. The kernel answers with
	// any ticket of the range, so each answer splits its range in two.
	type span struct{ from, to int64 }
	ranges := append(make([]span, 0, 8), span{firstTicket, firstTicket + q.arrival})
	for len(ranges) > 0 && n < limit {
		r := ranges[len(ranges)-1]
		ranges = ranges[:len(ranges)-1]
		if r.from >= r.to {
			continue
		}
		lock := unix.Flock_t{Type: unix.F_WRLCK, Start: r.from, Len: r.to - r.from}
		err := control(q.conn, func(fd uintptr) error { return unix.FcntlFlock(fd, unix.F_OFD_GETLK, &lock) })
		if err != nil || lock.Type == unix.F_UNLCK {
			continue
		}
		n++
		if at := lock.Start - firstTicket; first == 0 || at < first {
			first = at
		}
		ranges = append(ranges, span{lock.Start + 1, r.to}, span{r.from, lock.Start})
	}
	return n, first
}

// join takes a ticket. Without one a waiter stays correct and only loses its
// place, so there is nothing to do about a failure.
func (q *ticketQueue) join() {
	lock := unix.Flock_t{Type: unix.F_RDLCK, Start: firstTicket + q.arrival, Len: 1}
	err := q.set(&lock)
	if errors.Is(err, unix.EBADF) { // not open for reading
		lock.Type = unix.F_WRLCK
		for range 1000 { // more than ever arrive in one microsecond
			if err = q.set(&lock); !errors.Is(err, unix.EAGAIN) {
				break
			}
			lock.Start++
		}
	}
	if err == nil {
		q.ticket = lock.Start
	}
}

// leave gives the ticket back. The descriptor may live on, as the holder's.
func (q *ticketQueue) leave() {
	if q.ticket != 0 {
		_ = q.set(&unix.Flock_t{Type: unix.F_UNLCK, Start: q.ticket, Len: 1}) // unlocking does not fail but on a bad descriptor
		q.ticket = 0
	}
}

func (q *ticketQueue) set(lock *unix.Flock_t) error {
	return control(q.conn, func(fd uintptr) error {
		for {
			if err := unix.FcntlFlock(fd, unix.F_OFD_SETLK, lock); !errors.Is(err, unix.EINTR) {
				return err
			}
		}
	})
}
