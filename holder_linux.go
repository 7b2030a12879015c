package portalocker

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/portalocker/portalocker/internal/oslock"
)

// procLock is one line of /proc/locks, which proc_locks(5) describes.
type procLock struct {
	class     string // FLOCK, OFDLCK, POSIX, LEASE
	exclusive bool
	waiting   bool
	pid       int // -1 for OFD locks, which no process owns
	dev, ino  uint64
	start     int64
}

// parseProcLocks reads lines like
//
//	1: FLOCK  ADVISORY  WRITE 4242 08:02:123456 0 EOF
//	1: -> FLOCK  ADVISORY  WRITE 4243 08:02:123456 0 EOF
//
// and passes by what it does not understand.
func parseProcLocks(r io.Reader) (locks []procLock) {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		var lock procLock
		if len(fields) > 1 && fields[1] == "->" {
			lock.waiting = true
			fields = fields[1:]
		}
		if len(fields) < 8 {
			continue
		}
		var major, minor uint32
		if n, _ := fmt.Sscanf(fields[5], "%x:%x:%d", &major, &minor, &lock.ino); n != 3 {
			continue
		}
		var err error
		if lock.pid, err = strconv.Atoi(fields[4]); err != nil {
			continue
		}
		lock.start, _ = strconv.ParseInt(fields[6], 10, 64)
		lock.class, lock.exclusive, lock.dev = fields[1], fields[3] == "WRITE", unix.Mkdev(major, minor)
		locks = append(locks, lock)
	}
	return locks
}

// procClass is what /proc/locks calls a mechanism's locks.
var procClass = [...]string{oslock.Flock: "FLOCK", oslock.OFD: "OFDLCK", oslock.POSIX: "POSIX"}

// holder finds who has the lock that h is in want of: a PID and a command name, 0
// and "" where the system does not tell.
func (h *hold) holder() (pid int, command string) {
	f, err := os.Open("/proc/locks")
	if err != nil {
		return 0, ""
	}
	defer f.Close() //nolint:errcheck // nothing was written
	id := h.identity()
	for _, lock := range parseProcLocks(f) {
		if lock.ino == id.ino && lock.dev == id.dev && lock.class == procClass[h.mechanism] &&
			!lock.waiting && lock.pid > 0 && lock.start < firstTicket {
			return lock.pid, commandOf(lock.pid)
		}
	}
	return 0, ""
}

// commandOf is a process's command name, "" if it has ended.
func commandOf(pid int) string {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(name), "\n")
}
