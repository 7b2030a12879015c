package proclocks

import (
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portalocker/portalocker/internal/oslock"
)

// Who reads the table of locks keeps all programs of the machine from locking files
// meanwhile, and waits until they have noticed: a grace period of the kernel, some
// milliseconds (locks_start in fs/locks.c of Linux takes file_rwsem for writing). For
// a lock that is tried again and again that is too much to learn a name. So the one who
// was seen last is asked first whether it still has the lock, by its own descriptor,
// which costs microseconds; and the table is read for a twentieth of the time at most.
const share = 20

// Burst is for how long a process may read the table before its share counts. Tests
// that want to know every holder raise it, before they begin.
var Burst = 100 * time.Millisecond

// sighting is a descriptor that had a lock.
type sighting struct {
	pid, fd int
	file    FileID // as the table of locks has it
}

// sightings are what HolderPID remembers.
var sightings = struct {
	sync.Mutex
	last map[FileID]sighting // by what stat tells of the locked file
	read time.Time           // when the table was last read
	used time.Duration       // for how long, less the share of the time since then
}{last: map[FileID]sighting{}}

// mostSightings is how many locks are remembered. Who is refused by more of them, in
// turn, learns less of their holders.
const mostSightings = 256

// HolderPID tells who holds a lock that stands in the way of one on the open file: as
// a rule the process that took it, and 0 if that has ended, is not known, or can not be
// found out without reading the table of locks too often.
func HolderPID(fd uintptr, mechanism oslock.Mechanism, mode oslock.Mode) int {
	var st unix.Stat_t
	if _, err := retry(func() (int, error) { return 0, unix.Fstat(int(fd), &st) }); err != nil {
		return 0
	}
	id := FileID{unix.Major(uint64(st.Dev)), unix.Minor(uint64(st.Dev)), st.Ino}
	sightings.Lock()
	defer sightings.Unlock()
	seen, ok := sightings.last[id]
	if ok && seen.holds(mechanism, mode) {
		return seen.pid
	}
	delete(sightings.last, id)
	table := readInShare()
	seen = findHolder(table, int(fd), id, mechanism, mode)
	if seen.find(mechanism, mode) {
		if len(sightings.last) >= mostSightings {
			clear(sightings.last)
		}
		sightings.last[id] = seen
	}
	return seen.pid
}

// readInShare reads the table of locks, nothing of it if it was read too often. The
// caller has sightings.
func readInShare() []byte {
	began := time.Now()
	sightings.used = max(sightings.used-began.Sub(sightings.read)/share, 0)
	sightings.read = began
	if sightings.used >= Burst {
		return nil
	}
	table, err := read(unix.AT_FDCWD, "/proc/locks", nil)
	sightings.read = time.Now()
	sightings.used += sightings.read.Sub(began)
	if err != nil {
		return nil
	}
	return table
}

// findHolder finds a living process in the table that has a lock in the way of one on
// the open file, which stat tells as id.
func findHolder(table []byte, fd int, id FileID, mechanism oslock.Mechanism, mode oslock.Mode) sighting {
	looked := false
	for e := range entries(table) {
		if e.file.Inode != id.Inode || !e.inTheWay(mechanism, mode) {
			continue
		}
		if e.file != id && !looked {
			looked = true // it is rarely needed, and not for nothing
			t, err := newTarget(fd)
			if err != nil {
				return sighting{}
			}
			id = t.id
		}
		if e.file == id && alive(e.pid) {
			return sighting{pid: e.pid, file: id}
		}
	}
	return sighting{}
}

// mostDescriptors is how many descriptors of a process are looked at.
const mostDescriptors = 256

// find finds the descriptor by which the process has the lock, if it may be seen.
func (s *sighting) find(mechanism oslock.Mechanism, mode oslock.Mode) bool {
	if s.pid == 0 {
		return false
	}
	fds, err := list(unix.AT_FDCWD, "/proc/"+strconv.Itoa(s.pid)+"/fdinfo")
	if err != nil {
		return false
	}
	for _, name := range fds[:min(len(fds), mostDescriptors)] {
		if s.fd, err = strconv.Atoi(name); err == nil && s.holds(mechanism, mode) {
			return true
		}
	}
	return false
}

// holds says whether the descriptor has a lock in the way of another at this moment.
func (s *sighting) holds(mechanism oslock.Mechanism, mode oslock.Mode) bool {
	content, err := read(unix.AT_FDCWD, "/proc/"+strconv.Itoa(s.pid)+"/fdinfo/"+strconv.Itoa(s.fd), nil)
	if err != nil {
		return false
	}
	for _, e := range parseInfo(content).locks {
		if e.file == s.file && e.inTheWay(mechanism, mode) {
			return true
		}
	}
	return false
}

// inTheWay: of the two kinds that meet, an OFD lock names no process.
func (e *entry) inTheWay(mechanism oslock.Mechanism, mode oslock.Mode) bool {
	switch {
	case e.waiting, e.pid == 0:
		return false
	case mechanism == oslock.OFD && e.mechanism == oslock.POSIX:
		return e.mode == oslock.Exclusive || mode == oslock.Exclusive
	}
	return e.mechanism == mechanism
}
