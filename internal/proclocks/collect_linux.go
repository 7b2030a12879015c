package proclocks

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// Of tells of the locks of the file that path names, first those that are held, then
// those that wait. The error is an *fs.PathError if that file cannot be looked at,
// and errors.ErrUnsupported if the system does not tell.
func Of(path string) ([]Lock, error) {
	t, err := lookUp(path)
	if err != nil {
		return nil, err
	}
	c := collector{only: &t, inodes: map[uint64]bool{t.ino: true, t.id.Inode: true}}
	s, err := c.collect()
	if err != nil {
		return nil, err
	}
	locks := make([]Lock, 0, len(s.found))
	for i := range s.found {
		if f := &s.found[i]; s.mayBeOn(f, &t) {
			f.Path = path
			locks = append(locks, f.Lock)
		}
	}
	inOrder(locks)
	return locks, nil
}

// All tells of the locks of all files, file by file.
func All() ([]Lock, error) {
	c := collector{inodes: map[uint64]bool{}}
	s, err := c.collect()
	if err != nil {
		return nil, err
	}
	locks := make([]Lock, 0, len(s.found))
	for i := range s.found {
		f := &s.found[i]
		f.Path = s.pathOf(f)
		locks = append(locks, f.Lock)
	}
	inOrder(locks)
	return locks, nil
}

// collector looks for the locks of one file, or of all if only is nil.
type collector struct {
	only   *target
	inodes map[uint64]bool // of the locked files, as far as they were found
}

// maxLooks is how often to look if what is seen does not fit together, because locks
// are taken and given back meanwhile.
const maxLooks = 3

// collect reads the table of locks before it looks at the processes and after.
func (c *collector) collect() (*snapshot, error) {
	before, err := readTable(c.covers)
	for looks := 1; err == nil; looks++ {
		c.note(before)
		processes := scan(c.wanted())
		var after *table
		if after, err = readTable(c.covers); err != nil {
			break
		}
		s := newSnapshot(before, processes, after, c.covers)
		more := c.note(after) // on files that nobody was asked about
		if !s.doubtful && !more || looks == maxLooks {
			return s, nil
		}
		before = after
	}
	return nil, fmt.Errorf("%w: the system does not tell who holds a lock: /proc/locks: %w", errors.ErrUnsupported, err)
}

func (c *collector) covers(id FileID) bool { return c.only == nil || id == c.only.id }

// note remembers which files are locked, and says whether any of them is new.
func (c *collector) note(t *table) (more bool) {
	for _, e := range t.order {
		more = more || !c.inodes[e.file.Inode]
		c.inodes[e.file.Inode] = true
	}
	return more
}

// wanted says which descriptors to look at.
func (c *collector) wanted() func(*unix.Stat_t) bool {
	hides := c.only == nil && hidesLocks()
	return func(st *unix.Stat_t) bool {
		return c.inodes[st.Ino] || hides && (st.Mode&unix.S_IFMT == unix.S_IFREG || st.Mode&unix.S_IFMT == unix.S_IFDIR)
	}
}

// hidesLocks says that this is not the machine's first PID namespace, where the
// table of locks has all. Elsewhere it lacks those of processes that have no PID
// there, as one that has ended, though a process that is there has inherited the
// lock (locks_show in fs/locks.c of Linux).
func hidesLocks() bool {
	const first = 0xEFFFFFFC // PROC_PID_INIT_INO, include/linux/proc_ns.h
	var st unix.Stat_t
	return stat(unix.AT_FDCWD, "/proc/self/ns/pid", &st) == nil && st.Ino != first
}

// inOrder sorts by file; then come those that hold, those that the kernel lets wait
// in the order of the table, and those with a ticket as they came.
func inOrder(locks []Lock) {
	slices.SortStableFunc(locks, func(a, b Lock) int {
		return cmp.Or(
			cmp.Compare(a.Path, b.Path),
			cmp.Compare(a.File.Major, b.File.Major), cmp.Compare(a.File.Minor, b.File.Minor), cmp.Compare(a.File.Inode, b.File.Inode),
			boolCompare(a.Waiting, b.Waiting),
			a.Since.Compare(b.Since),
		)
	})
}

func boolCompare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
