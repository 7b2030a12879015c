package proclocks

import (
	"cmp"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portalocker/portalocker/internal/oslock"
)

// snapshot puts together what the table of locks and the processes tell. The table
// names the process that took a lock, which may have ended and left it to those that
// inherited the descriptor, and none for OFD locks. A descriptor's fdinfo shows the
// locks that it has, but only of processes that may be looked at.
type snapshot struct {
	processes
	before, after *table                  // of before and after the processes were looked at
	owners        map[entry][]*descriptor // who shows a lock
	stale         map[entry]int           // tickets of those that have got the lock

	blocked  map[int][]int     // what blockedOn said of a process, without those that were told
	origins  map[int]origin    // what originOf said
	commands map[int]string    // what Command said
	clock    time.Time         // a time of day
	ticks    time.Duration     // and CLOCK_MONOTONIC then
	names    map[FileID]string // a path of each file, once they were asked for

	found    []found
	doubtful bool // something does not fit together
}

// found is a lock, and a descriptor that has it, nil if none is known.
type found struct {
	Lock
	entry  entry
	owner  *descriptor
	untold bool
}

// newSnapshot tells of the locks on files that are covered.
func newSnapshot(before *table, p processes, after *table, covers func(FileID) bool) *snapshot {
	s := &snapshot{
		processes: p, before: before, after: after, owners: map[entry][]*descriptor{}, stale: map[entry]int{},
		blocked: map[int][]int{}, origins: map[int]origin{}, commands: map[int]string{}, clock: time.Now(),
	}
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) == nil { // it fails on no Linux that Go runs on
		s.ticks = time.Duration(now.Nano())
	}
	shown := s.index(covers)
	for _, e := range after.order {
		if e.waiting {
			s.addWaiters(e)
		} else {
			s.addHolders(e)
		}
	}
	for _, e := range shown {
		if !after.has(e) && s.owners[e] != nil && (e.hidden() || after.torn && !e.ticket()) {
			s.addHolders(e)
			s.owners[e] = nil
		}
	}
	s.settle()
	return s
}

// index notes who shows which locks.
func (s *snapshot) index(covers func(FileID) bool) (shown []entry) {
	for i := range s.open {
		d := &s.open[i]
		holds := slices.ContainsFunc(d.locks, func(e entry) bool { return e.mechanism == oslock.Flock })
		for _, e := range d.locks {
			switch {
			case !covers(e.file):
			case holds && e.ticket():
				s.stale[e]++ // it gives it back just now
			default:
				shown = append(shown, e)
				s.owners[e] = append(s.owners[e], d)
			}
		}
	}
	return shown
}

// addHolders finds out who has the locks that look like e. One that the table lacks
// although a process shows it escaped the readings, or was given back just now, or is
// hidden.
func (s *snapshot) addHolders(e entry) {
	owners, files := oneOfEach(s.likely(e))
	n := 0
	switch {
	case s.after.has(e):
		n = s.after.copies(e) - s.stale[e]
		if s.after.torn && files > 0 {
			n = min(n, len(owners)) // what nobody shows was read twice
		}
		n = max(n, files)
	case e.hidden() && e.mode == oslock.Shared:
		// Each of those that show it may have one of its own, so all are told.
		told := map[int]bool{}
		owners = slices.DeleteFunc(owners, func(d *descriptor) bool {
			again := told[d.pid]
			told[d.pid] = true
			return again
		})
		n = len(owners)
	default:
		n = max(files, s.before.copies(e))
	}
	for i := range n {
		if i < len(owners) {
			s.add(e, owners[i].pid, owners[i])
		} else {
			s.add(e, s.taker(e), nil)
		}
	}
}

// taker is the PID to tell for a lock that no process shows: that of the one that took
// it, unless that does not have it any more.
func (s *snapshot) taker(e entry) int {
	switch {
	case e.pid == 0:
		return 0
	case e.mechanism == oslock.POSIX:
		return e.pid // nobody inherits it, and it ends with its process
	case !s.before.has(e):
		return e.pid // it came when the process had been looked at
	case !alive(e.pid):
		return 0
	case !s.seen[e.pid]:
		return e.pid
	}
	// Either it was free when that process was looked at and is taken again, or the
	// process has passed it on, or ended and another one got its number.
	s.doubtful = true
	return 0
}

// likely sorts those that show a lock: first the one that took it, then those that have
// it from nobody else, the oldest first, and then their heirs. The system does not tell
// which of several descriptors are copies of one, that has one lock.
func (s *snapshot) likely(e entry) []*descriptor {
	owners := s.owners[e]
	if len(owners) <= 1 {
		return owners
	}
	type rank struct{ other, heir, copy int }
	ranks := map[*descriptor]rank{}
	fds := map[int]int{} // how many, by PID
	for _, d := range owners {
		fds[d.pid] = 0
	}
	for _, d := range owners {
		r := rank{copy: fds[d.pid]}
		fds[d.pid]++
		if d.pid != e.pid {
			r.other = 1
		}
		if s.descends(d.pid, fds) {
			r.heir = 1
		}
		ranks[d] = r
	}
	slices.SortStableFunc(owners, func(a, b *descriptor) int {
		x, y := ranks[a], ranks[b]
		return cmp.Or(cmp.Compare(x.other, y.other), cmp.Compare(x.heir, y.heir), cmp.Compare(x.copy, y.copy),
			cmp.Compare(s.origin(a.pid).start, s.origin(b.pid).start), cmp.Compare(a.pid, b.pid))
	})
	return owners
}

// descends says that a process comes from one of the others.
func (s *snapshot) descends(pid int, others map[int]int) bool {
	for range 1000 { // what is read of processes that come and go need not be a tree
		pid = s.origin(pid).parent
		if _, ok := others[pid]; ok {
			return true
		}
		if pid == 0 {
			break
		}
	}
	return false
}

// oneOfEach puts those first that are on different files, and says how many those are:
// on btrfs and overlayfs several can look the same in the table of locks, and each can
// have the same lock.
func oneOfEach(owners []*descriptor) (sorted []*descriptor, files int) {
	on := func(files []*descriptor, d *descriptor) bool {
		return slices.ContainsFunc(files, d.sameFile)
	}
	var first, more []*descriptor
	for _, d := range owners {
		if on(first, d) {
			more = append(more, d)
		} else {
			first = append(first, d)
		}
	}
	return append(first, more...), len(first)
}

// addWaiters adds those that wait in the kernel. They live, or the table would not
// have them.
func (s *snapshot) addWaiters(e entry) {
	for range s.after.copies(e) {
		if e.mechanism == oslock.OFD {
			s.addBlocked(e)
		} else {
			s.add(e, e.pid, nil)
		}
	}
}

// addBlocked adds one that waits for an OFD lock, which the table tells no PID of: a
// thread that sleeps in such a call, on a descriptor of the file.
func (s *snapshot) addBlocked(e entry) {
	for i := range s.open {
		d := &s.open[i]
		if d.ino != e.file.Inode {
			continue
		}
		if _, asked := s.blocked[d.pid]; !asked {
			s.blocked[d.pid] = blockedOn(d.pid)
		}
		if at := slices.Index(s.blocked[d.pid], d.fd); at >= 0 {
			s.blocked[d.pid] = slices.Delete(s.blocked[d.pid], at, at+1) // the next line is of another
			s.add(e, d.pid, d)
			return
		}
	}
	s.add(e, 0, nil)
}

// settle leaves one of those that seem to hold what only one can: they had it one after
// the other while this looked. The last reading is the best witness. If that is of one
// moment, those that it has are on different files; see oneOfEach.
func (s *snapshot) settle() {
	held := map[FileID][]*found{}
	for _, last := range []bool{true, false} {
		for i := range s.found {
			f := &s.found[i]
			if f.Waiting || s.after.last[f.entry] != last {
				continue
			}
			f.untold = (s.after.torn || !last) && slices.ContainsFunc(held[f.File], f.conflicts)
			if !f.untold {
				held[f.File] = append(held[f.File], f)
			}
		}
	}
	s.found = slices.DeleteFunc(s.found, func(f found) bool { return f.untold })
}

func (f *found) conflicts(other *found) bool {
	if f.owner != nil && other.owner != nil && !f.owner.sameFile(other.owner) {
		return false
	}
	return f.entry.conflicts(&other.entry)
}

func (s *snapshot) add(e entry, pid int, owner *descriptor) {
	f := found{Lock: e.lock(), entry: e, owner: owner}
	f.PID = pid
	if pid != 0 {
		f.Command = s.command(pid)
	}
	if e.ticket() {
		arrival := time.Duration(e.start-FirstTicket) * time.Microsecond
		// Not where clocks differ: see time_namespaces(7).
		if waited := s.ticks - arrival; waited >= 0 {
			f.Since = s.clock.Add(-waited)
		}
	}
	s.found = append(s.found, f)
}

// mayBeOn says that nothing speaks against the lock's being on the target itself,
// where another file may look the same in the table.
func (s *snapshot) mayBeOn(f *found, t *target) bool {
	if f.owner != nil {
		return t.is(f.owner)
	}
	elsewhere := false
	for i := range s.open {
		if d := &s.open[i]; d.pid == f.PID {
			if t.is(d) {
				return true
			}
			elsewhere = true
		}
	}
	return !elsewhere
}

// pathOf is a name of the lock's file, "" if no process that has it open lets it be
// seen.
func (s *snapshot) pathOf(f *found) string {
	if f.owner != nil {
		return f.owner.path
	}
	for i := range s.open {
		if d := &s.open[i]; d.pid == f.PID && d.ino == f.File.Inode {
			return d.path
		}
	}
	if s.names == nil {
		s.names = map[FileID]string{}
		for i := range s.open {
			d := &s.open[i]
			s.names[d.id()] = cmp.Or(s.names[d.id()], d.path)
			for _, e := range d.locks {
				s.names[e.file] = cmp.Or(s.names[e.file], d.path)
			}
		}
	}
	return s.names[f.File]
}

func (s *snapshot) origin(pid int) origin {
	if _, asked := s.origins[pid]; !asked {
		s.origins[pid] = originOf(pid)
	}
	return s.origins[pid]
}

func (s *snapshot) command(pid int) string {
	if _, asked := s.commands[pid]; !asked {
		s.commands[pid] = Command(pid)
	}
	return s.commands[pid]
}

// hidden says that the lock was taken by a process that has no PID here, as a
// descriptor shows it. The table lacks such locks; see hidesLocks.
func (e *entry) hidden() bool { return e.mechanism == oslock.Flock && e.pid == 0 }

// conflicts says that no two processes can have these locks of one file at a time.
func (e *entry) conflicts(other *entry) bool {
	return (e.mechanism == oslock.Flock) == (other.mechanism == oslock.Flock) &&
		(e.mode == oslock.Exclusive || other.mode == oslock.Exclusive) &&
		e.start <= other.end && other.start <= e.end
}
